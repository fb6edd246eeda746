"""The whole framework on one page: the interface of each family of parts.

Letters: B images, L levels, P priors over all levels, C classes, K class logits, D box code
    values, N objects. A part is any class that keeps its contract; none has to inherit from
    these. `export_problem` of a class: why no exported graph can hold it, and the alternative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detkit.structures import (
    Assignment,
    Batch,
    DatasetIndex,
    DensePredictions,
    Detections,
    ExportGraph,
    FeatureSpec,
    LayerComparison,
    PaddedDetections,
    PaddedTargets,
    Priors,
    RegionPredictions,
    Regions,
    Sample,
    Target,
    WrittenExport,
)

Sizes = Sequence[tuple[int, int]]
Losses = dict[str, Tensor]


@runtime_checkable
class Backbone(Protocol):
    """(B, 3, H, W) float images to L maps (B, C_l, H_l, W_l), fine to coarse.

    A static method `pixel_statistics(arguments)` may replace ImageNet's mean and std (0..255).
    """

    feature_specs: list[FeatureSpec]

    def __call__(self, images: Tensor) -> list[Tensor]: ...


@runtime_checkable
class Neck(Protocol):
    """L maps to others; wired `feature_specs` describe the input, its own the output."""

    feature_specs: list[FeatureSpec]

    def __call__(self, features: list[Tensor]) -> list[Tensor]: ...


class PriorGenerator(Protocol):
    """Sizes of the L maps to the priors of an image; `per_cell` is the priors per cell by level.

    Within a level the order is row, column, then the priors of a cell. Results are cached per
    sizes and device.
    """

    per_cell: list[int]

    def __call__(self, sizes: Sizes, device: torch.device) -> Priors: ...


class BoxCoder(Protocol):
    """Boxes to regression codes relative to priors, and back; leading axes broadcast."""

    code_size: int

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor: ...  # (..., 4) -> (..., D)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor: ...  # (..., D) -> (..., 4)


@runtime_checkable
class DistributionCoder(BoxCoder, Protocol):
    """A coder whose codes are the logits of four distributions over the distances 0..bins-1.

    `distances` are from the priors to the sides of the boxes, in the coder's unit.
    """

    bins: int

    def distances(self, boxes: Tensor, priors: Priors) -> Tensor: ...  # (..., 4) -> (..., 4)


class Assigner(Protocol):
    """Priors and the objects of a batch to an Assignment; called without gradients.

    `priors` are (P, ...), or (B, P, ...) if each image has its own. `scores` (B, P, C) and `boxes`
    (B, P, 4) are predictions if `uses_predictions` is true, else None. Padding matches nothing.
    """

    uses_predictions: bool

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment: ...


class Sampler(Protocol):
    """Chooses the priors that count in the loss.

    `matched` (B, P) as in Assignment; returns a mask (B, P) bool in which ignored priors are False.
    `values` (B, P) are what `ranks_by` asks for: detached classification losses, or the highest IoU
    with an object of the image, or zeros.
    """

    ranks_by: Literal["nothing", "losses", "overlaps"]

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor: ...


@runtime_checkable
class LimitedSampler(Sampler, Protocol):
    """A sampler that chooses at most `number` priors of an image."""

    number: int


class ClassificationLoss(Protocol):
    """One value per prior (summed over its K logits), not weighted, not normalised.

    `logits` (M, K); `labels` (M,) in 0..C-1, BACKGROUND, or IGNORED for values that the caller
    drops; `scores` (M,) soft targets of the labels, None for 1. With a softmax
    as `activation`, K = C + 1 with background last, otherwise K = C; see `class_scores`. The values
    of a `normalised` loss, such as GHM, add up to the loss; the caller does not divide them.
    """

    space: Literal["classes"]
    weight: float
    activation: Literal["sigmoid", "identity", "soft_clip", "softmax", "conditional_softmax"]
    normalised: bool

    def __call__(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor: ...


class BoxLoss(Protocol):
    """One value per box: (M, 4) or (M, D) pairs to (M,); `space` tells the head what to pass.

    "boxes": decoded absolute xyxy (the IoU family). "codes": the coder's codes (the L1 family).
    "distribution": the codes (M, 4 * bins) and the distances (M, 4) of a DistributionCoder.
    "gaussian": the codes (M, 8) of a VarianceCoder; see detkit/ops/variances.py.
    """

    space: Literal["boxes", "codes", "distribution", "gaussian"]
    weight: float

    def __call__(self, predicted: Tensor, target: Tensor) -> Tensor: ...


class QualityTarget(Protocol):
    """Target of a dense head's quality branch at the positives: (M,) in 0..1.

    `boxes` (M, 4) are the objects, `predicted` (M, 4) the head's boxes; called without gradients.
    With `learns_background`, the branch learns 0 at all other priors, and classes are learned at
    objects only. The score is (class score * quality) ** `score_exponent`. With `weighs_boxes`,
    quality targets weigh the box losses.
    """

    learns_background: bool
    score_exponent: float
    weighs_boxes: bool

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor: ...


class Postprocess(Protocol):
    """Candidates of B images to their final detections, best first.

    Of each level, the head decodes the `max_candidates` best (prior, class) pairs that score above
    `score_threshold`. `boxes` (B, K, 4) are clipped; `scores` (B, K) are 0 for no candidate.
    """

    score_threshold: float
    max_candidates: int

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections: ...


class HeadLayers(Protocol):
    """The trainable part of a dense head: L maps to predictions in the order of the priors.

    Wired values: `feature_specs`, `num_classes`, `priors`, `per_cell`, `box_coder`, `code_size`,
    `class_activation` and `with_quality`; see Towers in detkit/heads/towers.py.
    """

    def __call__(self, features: list[Tensor]) -> DensePredictions: ...


class Head(Protocol):
    """Feature maps to raw predictions, losses, or detections; `image_sizes` (B, 2) is float32."""

    def __call__(self, features: list[Tensor]) -> DensePredictions: ...

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses: ...

    def predict(self, features: list[Tensor], image_sizes: Tensor) -> PaddedDetections: ...


@runtime_checkable
class AssigningHead(Protocol):
    """A head, or a proposer, that can show the objects assigned to its priors.

    `assign` gives priors, (P, ...) or (B, P, ...), and `matched` (B, P): non-ignored objects.
    """

    def assign(self, features: list[Tensor], targets: PaddedTargets) -> tuple[Priors, Tensor]: ...


@runtime_checkable
class CountingHead(Protocol):
    """A head that calls `divisors`, a detkit.ops.Divisors, with the divisors of its losses."""

    divisors: Any
    has_one_divisor: bool  # for all losses

    # The same before the network runs; None where predictions decide about it.
    def count(self, sizes: Sizes, targets: PaddedTargets) -> Tensor | None: ...


class Proposer(Protocol):
    """Feature maps to class-agnostic regions that may hold an object, inside their image.

    Training gets losses and regions, which carry no gradient, at once: the layers run once.
    """

    def __call__(self, features: list[Tensor]) -> DensePredictions: ...
    def propose(self, features: list[Tensor], image_sizes: Tensor) -> Regions: ...
    def loss_and_proposals(
        self, features: list[Tensor], targets: PaddedTargets, image_sizes: Tensor
    ) -> tuple[Losses, Regions]: ...


class Pooling(Protocol):
    """Regions (M, 4) of the images `image` (M,) to a map (M, *region_shape) of each.

    `region_shape` is (channels, height, width).
    """

    region_shape: tuple[int, int, int]

    def __call__(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor: ...


class BoxHead(Protocol):
    """Pooled maps (M, *region_shape), which is wired, to features (M, out_channels)."""

    out_channels: int

    def __call__(self, regions: Tensor) -> Tensor: ...


class MaskHead(Protocol):
    """Regions (M, 4) of the images (M,) to logits (M, C, side, side) of each class's pixels."""

    side: int
    weight: float  # of its loss
    regions_per_image: int  # that learn

    def __call__(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor: ...


class RoIHead(Protocol):
    """Feature maps and regions, maybe none in an image, to the three verbs' results."""

    def __call__(
        self, features: list[Tensor], regions: Regions, image_sizes: Tensor
    ) -> RegionPredictions: ...
    def loss(
        self, features: list[Tensor], regions: Regions, targets: PaddedTargets, image_sizes: Tensor
    ) -> Losses: ...
    def predict(
        self, features: list[Tensor], regions: Regions, image_sizes: Tensor
    ) -> PaddedDetections: ...


class Detector(Protocol):
    """Images to raw predictions (`forward`, for export), batches to losses or to detections.

    `predict` returns boxes in the coordinates of the original images.
    """

    def __call__(self, images: Tensor) -> DensePredictions | RegionPredictions: ...
    def loss(self, batch: Batch) -> Losses: ...
    def predict(self, batch: Batch) -> list[Detections]: ...


class Transform(Protocol):
    """One step of augmentation; all randomness comes from `generator`."""

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample: ...


@runtime_checkable
class MixingTransform(Protocol):
    """A step of augmentation that combines several images of the data set, such as mosaic.

    `count` draws how many other images it needs, 0 for none; they went through the transforms
    before it. The result keeps the id, path and geometry of the first sample.
    """

    def count(self, generator: torch.Generator) -> int: ...

    def mix(
        self, sample: Sample, others: Sequence[Sample], generator: torch.Generator
    ) -> Sample: ...


class Sampling(Protocol):
    """Mean number of times each image of an index appears in an epoch: (N,), 0 or more."""

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]: ...


class Reader(Protocol):
    """A data set on disk to indices of flat arrays; built with the settings of its format.

    `splits` names the splits that the data set's own files define (empty when there are none);
    `read` takes one of them, or None for all images, and raises DataError with what to change.
    """

    def splits(self, path: Path) -> list[str]: ...

    def read(self, path: Path, split: str | None) -> DatasetIndex: ...


@runtime_checkable
class Metric(Protocol):
    """Detections and objects in original image coordinates, image by image, to named numbers.

    `update` keys images by id, so an image seen twice counts once; `merge` takes the `state`
    of other ranks; `compute` returns flat names (`AP`, `AP50`, `AP/dog`), 0..1 or NaN; `meanings`
    says in a few words what the numbers over all classes are, for tables.
    """

    meanings: Mapping[str, str]

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def merge(self, states: list[dict[str, Any]]) -> None: ...
    def compute(self) -> dict[str, float]: ...
    def reset(self) -> None: ...


class Schedule(Protocol):
    """Learning-rate factor of an optimizer step in 0..total_steps-1."""

    def __call__(self, step: int, total_steps: int) -> float: ...


class OptimizerFactory(Protocol):
    """A model to its optimizer; `total_batch` counts the images of a step over all ranks."""

    def __call__(self, model: nn.Module, total_batch: int) -> torch.optim.Optimizer: ...


class ExportEngine(Protocol):
    """A written model in its engine: images (B, 3, H, W) to the outputs of its graph, in order.

    `input_shape` holds None where any length fits.
    """

    input_shape: tuple[int | None, ...]

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]: ...


class Exporter(Protocol):
    """Writes a graph for another engine, and opens the result so that it can be certified.

    `suffix` is the end of the file's name, empty for a folder; `engine` names the engine;
    `precisions` lists `fp32`, `fp16`, `int8`. `require` raises UserError if a package is missing.
    """

    suffix: str
    engine: str
    precisions: Sequence[str]

    def require(self) -> None: ...

    def write(self, graph: ExportGraph, path: Path) -> WrittenExport: ...

    def open(self, path: Path, threads: int) -> ExportEngine: ...


@runtime_checkable
class LayerExporter(Protocol):
    """An exporter that compares the outputs of its model's layers with PyTorch's."""

    def compare_layers(
        self, graph: ExportGraph, path: Path, images: NDArray[np.float32], tolerance: float
    ) -> LayerComparison: ...
