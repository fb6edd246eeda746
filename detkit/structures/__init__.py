"""The data that crosses package borders."""

from detkit.structures.dataset import DatasetIndex, Fault, Pairing
from detkit.structures.dense import BACKGROUND, IGNORED, Assignment, DensePredictions, Priors
from detkit.structures.detections import Detections
from detkit.structures.features import FeatureSpec
from detkit.structures.images import Batch, Sample, Target
from detkit.structures.padded import PaddedDetections, PaddedTargets, Regions
from detkit.structures.regions import RegionPredictions

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "Assignment",
    "Batch",
    "DatasetIndex",
    "DensePredictions",
    "Detections",
    "Fault",
    "FeatureSpec",
    "PaddedDetections",
    "PaddedTargets",
    "Pairing",
    "Priors",
    "RegionPredictions",
    "Regions",
    "Sample",
    "Target",
]
