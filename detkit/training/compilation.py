"""Compile the losses of a detector together with its network."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from detkit.detectors.base import DetectorModule
from detkit.interfaces import Losses
from detkit.structures import Batch, PaddedTargets

_log = logging.getLogger("detkit.training")
_MOST_GRAPHS = 8  # torch.compile's own limit, above which it gives up
_FEWEST_OBJECTS = 16  # that a graph has room for
Shape = tuple[torch.Size, int, int]


class CompiledLoss:
    """The losses of a batch, from one graph of network, assignment and losses.

    A graph has fixed shapes and takes minutes to compile. The objects of an image are padded to a
    power of two, so that their number seldom changes the shapes. If images differ so much in size
    that too many graphs would be needed, the remaining sizes compute assignment and losses without
    a graph.

    Args:
        detector: A detector whose network is compiled by itself, too.
        backend: Of torch.compile.
    """

    def __init__(self, detector: DetectorModule, backend: str = "inductor") -> None:
        self._detector = detector
        self._compiled = torch.compile(detector.loss, dynamic=False, backend=backend)
        self._shapes: set[Shape] = set()
        self._has_warned = False

    def __call__(self, batch: Batch) -> Losses:
        """See `DetectorModule.loss`."""
        targets = padded_to_powers(batch.targets)
        shape = (batch.images.shape, targets.mask.shape[1], targets.ignored_mask.shape[1])
        if shape not in self._shapes and len(self._shapes) == _MOST_GRAPHS:
            self._warn(shape)
            return self._detector.loss(batch)
        self._shapes.add(shape)
        losses: Losses = self._compiled(replace(batch, targets=targets))
        return losses

    def _warn(self, shape: Shape) -> None:
        if not self._has_warned:
            height, width = shape[0][-2:]
            _log.warning(
                "trainer.compile: %d graphs are compiled, for different sizes of images or numbers "
                "of objects; a batch of %d x %d pixels with up to %d objects, and others to come, "
                "compile the network only",
                *(_MOST_GRAPHS, height, width, shape[1]),
            )
        self._has_warned = True


def compiles_loss(detector: nn.Module) -> bool:
    """Whether trainer.compile makes a graph of the losses, too."""
    is_graph = isinstance(detector, DetectorModule) and detector.compiles_loss
    return is_graph and not _matches_on_host(detector)


def compilation_text(detector: nn.Module) -> str:
    """What trainer.compile does to a detector."""
    if compiles_loss(detector):
        return (
            "trainer.compile: network, assignment and losses become one graph; the first batches "
            "take minutes"
        )
    if _matches_on_host(detector):
        reason = "the host matches objects and predictions"
    else:
        reason = f"{type(detector).__name__} selects regions"
    return (
        f"trainer.compile: only the network is compiled, since {reason}; the first batches take "
        "minutes"
    )


def _matches_on_host(detector: nn.Module) -> bool:
    """Whether an assigner interrupts a graph of the losses."""
    assigners = (getattr(module, "assigner", None) for module in detector.modules())
    return any(getattr(assigner, "runs_on_host", False) for assigner in assigners)


def padded_to_powers(targets: PaddedTargets) -> PaddedTargets:
    """The same objects with room for a power of two of them in each image, 16 or more."""
    more = _room_for(targets.mask.shape[1]) - targets.mask.shape[1]
    ignored = targets.ignored_mask.shape[1]
    more_ignored = _room_for(ignored) - ignored if ignored else 0
    return targets._replace(
        boxes=F.pad(targets.boxes, (0, 0, 0, more)),
        labels=F.pad(targets.labels, (0, more)),
        mask=F.pad(targets.mask, (0, more)),
        ignored_boxes=F.pad(targets.ignored_boxes, (0, 0, 0, more_ignored)),
        ignored_mask=F.pad(targets.ignored_mask, (0, more_ignored)),
    )


def _room_for(count: int) -> int:
    return max(_FEWEST_OBJECTS, 1 << (count - 1).bit_length())
