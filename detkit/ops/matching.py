"""Assign the objects of a batch in groups of images that fit into memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from detkit.errors import UserError
from detkit.ops import chunks
from detkit.ops.ignoring import mark_ignored
from detkit.structures import Assignment, PaddedTargets, Priors

Assign = Callable[[Priors, Tensor | None, Tensor | None, PaddedTargets], Assignment]


def require_batches(assigner: object) -> None:
    """Check that an assigner takes a batch; earlier versions passed one image.

    Raises:
        UserError: Its `__call__` still takes a single target.
    """
    if "target" in inspect.signature(type(assigner).__call__).parameters:
        raise UserError(
            f"assigner {type(assigner).__name__}: `__call__` takes the objects of one image in "
            "`target`, expected those of a batch, `targets: PaddedTargets`, and matched (B, P): "
            "adapt it as CHANGELOG.md describes; `detkit plugin new assigner` shows an example."
        )


def assign_batch(
    assigner: Assign,
    priors: Priors,
    scores: Tensor | None,
    boxes: Tensor | None,
    targets: PaddedTargets,
) -> Assignment:
    """Assign the objects of each image to its priors; priors on ignored objects become IGNORED.

    Args:
        assigner: As in `detkit.interfaces`.
        priors: P priors, or (B, P) if each image has its own.
        scores: (B, P, C) predicted class scores, for assigners that use predictions.
        boxes: (B, P, 4) predicted boxes, likewise.
        targets: The objects of the B images.
    """
    runs = _runs(targets, priors.boxes.shape[-2])
    if len(runs) == 1:
        return _assign_images(assigner, priors, scores, boxes, targets)
    assignments = [
        _assign_images(
            assigner,
            priors.images(start, stop),
            None if scores is None else scores[start:stop],
            None if boxes is None else boxes[start:stop],
            targets.images(start, stop),
        )
        for start, stop in runs
    ]
    soft = [assignment.scores for assignment in assignments if assignment.scores is not None]
    matched = torch.cat([assignment.matched for assignment in assignments])
    return Assignment(matched, torch.cat(soft) if soft else None)


def _assign_images(
    assigner: Assign,
    priors: Priors,
    scores: Tensor | None,
    boxes: Tensor | None,
    targets: PaddedTargets,
) -> Assignment:
    matched, soft = assigner(priors, scores, boxes, targets)
    expected = (targets.boxes.shape[0], priors.boxes.shape[-2])
    if matched.shape != expected:
        raise UserError(
            f"assigner {type(assigner).__name__} returned `matched` of shape "
            f"{tuple(matched.shape)}, expected {expected}: a row for each image of the batch."
        )
    return Assignment(mark_ignored(matched, priors, targets), soft)


def _runs(targets: PaddedTargets, priors: int) -> list[tuple[int, int]]:
    """The images of each run; see `image_runs`."""
    if torch.compiler.is_compiling():  # the counts would become constants of the graph
        return [(0, targets.boxes.shape[0])]
    return list(image_runs(targets.counts, priors))


def image_runs(counts: Sequence[int], priors: int) -> Iterator[tuple[int, int]]:
    """Split images into runs of consecutive ones with few pairs of an object and a prior.

    A run has at most `chunks.MOST_PAIRS` pairs, or one image, and a quarter of that in the padding,
    so that an image with a thousand objects does not make all others pay.

    Args:
        counts: Number of objects of each image.
        priors: Number of priors of each image.

    Yields:
        The positions of the first image of a run and of the first after it.
    """
    start, most, total = 0, 1, 0
    for image, count in enumerate(counts):
        largest, together = max(most, count), total + count
        pairs = (image + 1 - start) * largest * priors
        padding = pairs - together * priors
        is_full = pairs > chunks.MOST_PAIRS or padding > chunks.MOST_PAIRS // 4
        if is_full and image > start:
            yield start, image
            start, largest, together = image, max(1, count), count
        most, total = largest, together
    yield start, len(counts)
