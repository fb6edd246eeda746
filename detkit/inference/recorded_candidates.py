"""What a detector's network passes to its post-processor, recorded to try other ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from detkit.detectors.base import in_original_images
from detkit.errors import UserError
from detkit.inference.detecting import detect
from detkit.interfaces import Postprocess
from detkit.ops.variances import VotingPostprocess
from detkit.registry import family_of_slot
from detkit.structures import Batch, Detections, PaddedDetections

Path = tuple[str, ...]


class Candidates(NamedTuple):
    """The candidates of B images: decoded boxes inside their image, after the constant top-k.

    Attributes:
        boxes: (B, K, 4).
        scores: (B, K), 0 for no candidate.
        labels: (B, K).
        variances: (B, K, 4) of the sides, if the box coder predicts them.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    variances: Tensor | None

    def compact(self) -> Candidates:
        """The same on the CPU, in the same order, without columns that no image needs."""
        exists = self.scores > 0
        order = (~exists).long().argsort(dim=1, stable=True)
        order = order[:, : max(1, int(exists.sum(dim=1).max()))]
        columns = order[..., None].expand(-1, -1, 4)
        variances = None if self.variances is None else self.variances.gather(1, columns).cpu()
        scores, labels = self.scores.gather(1, order), self.labels.gather(1, order)
        return Candidates(
            self.boxes.gather(1, columns).cpu(), scores.cpu(), labels.cpu(), variances
        )

    def detections(self, postprocess: Postprocess) -> PaddedDetections:
        """What a post-processor makes of them."""
        if self.variances is not None and isinstance(postprocess, VotingPostprocess):
            return postprocess.vote(self.boxes, self.scores, self.labels, self.variances)
        return postprocess(self.boxes, self.scores, self.labels)


class RecordedBatch(NamedTuple):
    """The candidates of a batch, and the batch without its images."""

    batch: Batch
    candidates: Candidates

    def detections(self, postprocess: Postprocess) -> list[Detections]:
        """The detections of each image, in original coordinates."""
        padded = self.candidates.detections(postprocess)
        return self.batch.without_blank(in_original_images(padded, self.batch))


class RecordedCandidates:
    """Detects like `detect`, and keeps the candidates of all images in memory.

    Args:
        model: The checked configuration of the detector.

    Attributes:
        path: After `detect`, the config path of the post-processor that made the detections.
        batches: After `detect`, the candidates of each batch.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        self._paths = list(_postprocess_paths(model))
        self._calls: list[tuple[Path, Candidates]] = []
        self.path: Path = ()
        self.batches: list[RecordedBatch] = []

    def detect(
        self, detector: nn.Module, loader: Iterable[Batch], device: torch.device
    ) -> Iterator[tuple[Batch, list[Detections]]]:
        """Run a detector over batches; its detections are those of `detect`.

        Raises:
            UserError: The detector has no post-processor where its configuration names one.
        """
        for path in self._paths:
            _record(detector, path, self._calls)
        for batch, detections in detect(detector, loader, device):
            # of several post-processors, the last one makes the detections, not the regions
            self.path, candidates = self._last_call()
            slim = replace(batch, images=torch.zeros(len(batch), 0))
            self.batches.append(RecordedBatch(slim, candidates.compact()))
            yield batch, detections

    def count(self) -> int:
        """The number of candidates of all images."""
        return sum(int((b.candidates.scores > 0).sum()) for b in self.batches)

    def _last_call(self) -> tuple[Path, Candidates]:
        if not self._calls:
            paths = ", ".join(".".join(("model", *path)) for path in self._paths)
            raise UserError(
                f"postprocess: this detector does not call its post-processor ({paths or 'none'}), "
                "so there is nothing to compare."
            )
        last = self._calls[-1]
        self._calls.clear()
        return last


class _Recorder:
    """Stands for a post-processor and records its candidates."""

    def __init__(
        self, postprocess: Postprocess, path: Path, calls: list[tuple[Path, Candidates]]
    ) -> None:
        self.score_threshold = postprocess.score_threshold
        self.max_candidates = postprocess.max_candidates
        self._postprocess, self._path, self._calls = postprocess, path, calls

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        self._calls.append((self._path, Candidates(boxes, scores, labels, None)))
        return self._postprocess(boxes, scores, labels)

    def vote(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, variances: Tensor
    ) -> PaddedDetections:
        candidates = Candidates(boxes, scores, labels, variances)
        self._calls.append((self._path, candidates))
        return candidates.detections(self._postprocess)


def _record(detector: nn.Module, path: Path, calls: list[tuple[Path, Candidates]]) -> None:
    """Put a recorder in front of the post-processor at a config path.

    Raises:
        UserError: A part does not keep it under the name of its argument.
    """
    owner: Any = detector
    for name in path[:-1]:
        owner = getattr(owner, name, None)
    if getattr(owner, path[-1], None) is None:
        raise UserError(
            f"model.{'.'.join(path)}: {type(owner).__name__} does not keep its post-processor as "
            f"`self.{path[-1]}`, so candidates cannot be recorded."
        )
    setattr(owner, path[-1], _Recorder(getattr(owner, path[-1]), path, calls))


def _postprocess_paths(node: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """The config paths of all post-processors that detect, below a node."""
    for key, value in node.items():
        if not isinstance(value, Mapping):
            continue
        if family_of_slot(key) == "postprocess" and "name" in value:
            yield (*path, key)
        else:
            yield from _postprocess_paths(value, (*path, key))
