"""Assignments of priors to objects, image by image, and their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.interfaces import AssigningHead
from detkit.ops import box_areas
from detkit.structures import IGNORED, Batch, PaddedTargets, Priors, Regions, Target
from detkit.text import align_columns

SIZES = (("small", 0.0, 32.0), ("medium", 32.0, 96.0), ("large", 96.0, float("inf")))  # sides


class ImageAssignment(NamedTuple):
    """One image. P priors, N objects.

    Attributes:
        priors: The P priors.
        matched: (P,) as in Assignment.
        target: The N objects that are not ignored, in the coordinates of the priors.
    """

    priors: Priors
    matched: Tensor
    target: Target

    @property
    def positives(self) -> Tensor:
        """(N,) number of priors responsible for each object."""
        return self.matched[self.matched >= 0].bincount(minlength=len(self.target))


class _Featured(Protocol):
    def features_of(self, batch: Batch) -> list[Tensor]: ...


@runtime_checkable
class _Regional(Protocol):
    def regions_of(self, features: list[Tensor], batch: Batch) -> Regions: ...


@runtime_checkable
class _AssigningStage(Protocol):
    def assign_regions(
        self, features: list[Tensor], regions: Regions, targets: PaddedTargets
    ) -> tuple[Priors, Tensor]: ...


_Assign = Callable[[list[Tensor], Batch, PaddedTargets], tuple[Priors, Tensor]]


@torch.no_grad()
def assign(
    detectors: Sequence[nn.Module], batches: Iterable[Batch]
) -> list[tuple[ImageAssignment, ...]]:
    """Assign the priors of each detector to the objects in the first image of each batch.

    Args:
        detectors: They differ in nothing but their assigners, so one's features do for all.
        batches: Of one image each.

    Raises:
        UserError: A detector has no head that assigns priors.
    """
    heads = [_assignment_of(detector) for detector in detectors]
    assignments = []
    for batch in batches:
        features = cast(_Featured, detectors[0]).features_of(batch)
        target = batch.targets.split()[0]
        target = target.select(~target.ignored)
        targets = batch.targets._replace(image_sizes=batch.size_tensor)
        assigned = [head(features, batch, targets) for head in heads]
        assignments.append(
            tuple(ImageAssignment(p.of_image(0), matched[0], target) for p, matched in assigned)
        )
    return assignments


def _assignment_of(detector: nn.Module) -> _Assign:
    """How a detector assigns: its dense head, or else its roi head, whose priors are regions."""
    for module in detector.modules():
        if isinstance(module, AssigningHead):
            return partial(_of_priors, module)
    for module in detector.modules():
        if isinstance(module, _AssigningStage) and isinstance(detector, _Regional):
            return partial(_of_regions, detector, module)
    raise UserError("this detector has no head whose priors or regions are assigned to objects.")


def _of_priors(
    head: AssigningHead, features: list[Tensor], batch: Batch, targets: PaddedTargets
) -> tuple[Priors, Tensor]:
    return head.assign(features, targets)


def _of_regions(
    detector: _Regional,
    stage: _AssigningStage,
    features: list[Tensor],
    batch: Batch,
    targets: PaddedTargets,
) -> tuple[Priors, Tensor]:
    return stage.assign_regions(features, detector.regions_of(features, batch), targets)


@dataclass(frozen=True)
class AssignmentCounts:
    """Many images in numbers. N objects, L levels.

    Attributes:
        sides: (N,) square roots of the objects' areas.
        of_object: (N,) positive priors of each.
        positive: (L,) positive priors of each level.
        ignored: (L,) ignored priors of each level.
        strides: (L,) pixels per cell.
    """

    sides: Tensor
    of_object: Tensor
    positive: Tensor
    ignored: Tensor
    strides: list[float]


def count(assignments: Sequence[ImageAssignment]) -> AssignmentCounts:
    """Add up one or more images of the same detector."""
    strides: dict[int, float] = {}
    for result in assignments:
        strides |= dict(
            zip(result.priors.level.tolist(), result.priors.stride.tolist(), strict=True)
        )
    levels = max(strides) + 1

    def on_levels(selected: Iterable[Tensor]) -> Tensor:
        return torch.stack([level.bincount(minlength=levels) for level in selected]).sum(dim=0)

    return AssignmentCounts(
        sides=torch.cat([box_areas(a.target.boxes).sqrt() for a in assignments]),
        of_object=torch.cat([a.positives for a in assignments]),
        positive=on_levels(a.priors.level[a.matched >= 0] for a in assignments),
        ignored=on_levels(a.priors.level[a.matched == IGNORED] for a in assignments),
        strides=[strides.get(level, 0.0) for level in range(levels)],
    )


def counts_as_text(counts: dict[str, AssignmentCounts]) -> str:
    """A table with a column for each assigner."""
    sides = list(counts.values())
    rows = [["", *counts], ["objects", *(f"{len(c.sides):,}" for c in sides)]]
    rows.append(["positive priors", *(f"{int(c.positive.sum()):,}" for c in sides)])
    rows.append(["  of an object, median (range)", *(_spread(c.of_object) for c in sides)])
    for level, stride in enumerate(sides[0].strides):
        cells = [_on_level(c, level) for c in sides]
        rows.append([f"  stride {stride:g}", *cells])
    rows.append(["objects without any", *(f"{int((c.of_object == 0).sum()):,}" for c in sides)])
    for name, low, high in SIZES:
        reach = f"up to {high:g}" if low == 0 else f"{low:g} to {high:g}"
        label = f"  {name} ({reach if high < float('inf') else f'from {low:g}'} pixels)"
        rows.append([label, *(_without(c, low, high) for c in sides)])
    return "\n".join(align_columns(rows, range(1, len(rows[0]))))


def _on_level(counts: AssignmentCounts, level: int) -> str:
    if level >= len(counts.positive):
        return "-"
    ignored = int(counts.ignored[level])
    return f"{int(counts.positive[level]):,}" + (f" (+{ignored:,} ignored)" if ignored else "")


def _spread(values: Tensor) -> str:
    if len(values) == 0:
        return "-"
    return f"{int(values.median())} ({int(values.min())}-{int(values.max())})"


def _without(counts: AssignmentCounts, low: float, high: float) -> str:
    selected = (counts.sides >= low) & (counts.sides < high)
    lost = int((counts.of_object[selected] == 0).sum())
    return f"{lost:,} of {int(selected.sum()):,}"
