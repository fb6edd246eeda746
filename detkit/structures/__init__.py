"""The data that crosses package borders, imported on first use.

So modules without torch, such as `detkit.structures.exported`, can be imported without it.
"""

from typing import TYPE_CHECKING

from detkit.lazy_names import lazy_names
from detkit.structures.arrays import DetectionArrays
from detkit.structures.exported import ExportedModel
from detkit.structures.predictions import ImageRecord, PredictedImage, Predictions

if TYPE_CHECKING:
    from detkit.structures.batch import Batch
    from detkit.structures.class_counts import ClassCounts
    from detkit.structures.dataset import DatasetIndex, Fault, Pairing
    from detkit.structures.dense import BACKGROUND, IGNORED, Assignment, DensePredictions, Priors
    from detkit.structures.detections import Detections
    from detkit.structures.export_graph import ExportGraph, LayerComparison, WrittenExport
    from detkit.structures.features import FeatureSpec
    from detkit.structures.images import Sample, Target
    from detkit.structures.masks import DetectionMasks, PaddedMasks
    from detkit.structures.outlines import Outlines
    from detkit.structures.padded import PaddedDetections, PaddedTargets, Regions
    from detkit.structures.regions import RegionPredictions

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "Assignment",
    "Batch",
    "ClassCounts",
    "DatasetIndex",
    "DensePredictions",
    "DetectionArrays",
    "DetectionMasks",
    "Detections",
    "ExportGraph",
    "ExportedModel",
    "Fault",
    "FeatureSpec",
    "ImageRecord",
    "LayerComparison",
    "Outlines",
    "PaddedDetections",
    "PaddedMasks",
    "PaddedTargets",
    "Pairing",
    "PredictedImage",
    "Predictions",
    "Priors",
    "RegionPredictions",
    "Regions",
    "Sample",
    "Target",
    "WrittenExport",
]

if not TYPE_CHECKING:  # or type checkers would accept every name
    __getattr__ = lazy_names(
        __name__,
        {
            "batch": ("Batch",),
            "class_counts": ("ClassCounts",),
            "dataset": ("DatasetIndex", "Fault", "Pairing"),
            "dense": ("BACKGROUND", "IGNORED", "Assignment", "DensePredictions", "Priors"),
            "detections": ("Detections",),
            "export_graph": ("ExportGraph", "LayerComparison", "WrittenExport"),
            "features": ("FeatureSpec",),
            "images": ("Sample", "Target"),
            "masks": ("DetectionMasks", "PaddedMasks"),
            "outlines": ("Outlines",),
            "padded": ("PaddedDetections", "PaddedTargets", "Regions"),
            "regions": ("RegionPredictions",),
        },
    )
