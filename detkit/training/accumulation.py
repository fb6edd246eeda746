"""Gradients accumulated over several batches are those of one batch of all their images.

Losses are divided by counts: positives, regions, images. If each batch divided by its own, objects
in a batch with few would weigh more. So the batches of an optimizer step are read before the first
is trained on, their counts are added up, and each batch divides by the sum. Where predictions
decide about the counts, as in a head with task-aligned targets, they are only known afterwards:
then all batches divide by the counts of the first, and the gradient is corrected before the
optimizer's step. That takes a single count for all losses.

Not equal to one batch of all images are: batch norm, whose statistics are those of each batch; GHM,
whose weights follow the gradients of each batch; regions, whose number is known only after the
proposer ran and is mostly the same; and predictions that decide about more than one count.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from detkit.interfaces import CountingHead
from detkit.ops import Divisors
from detkit.structures import Batch, Target

_log = logging.getLogger("detkit.training")


@dataclass(frozen=True)
class BatchOfStep(Batch):
    """A batch that knows the others of its optimizer step.

    Attributes:
        step: Height, width and targets of each batch of the step, this one among them.
    """

    step: list[tuple[int, int, list[Target]]] = field(default_factory=list)


class ReadAhead:
    """A loader that reads all batches of an optimizer step before it gives the first.

    Args:
        loader: The loader of the batches; all else is asked of it.
        batches: The batches of a step.
    """

    def __init__(self, loader: Iterable[Batch], batches: int) -> None:
        self.loader: Any = loader
        self.batches = batches

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not set yet, as in a copy
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[BatchOfStep]:
        batches = iter(self.loader)
        while together := list(islice(batches, self.batches)):
            step = [(b.images.shape[-2], b.images.shape[-1], b.targets) for b in together]
            for batch in together:
                values = {each.name: getattr(batch, each.name) for each in fields(Batch)}
                yield BatchOfStep(**values, step=step)


class Accumulation:
    """Lets a detector divide by what all batches of an optimizer step count.

    Args:
        detector: Its dense head, or its proposer, is a CountingHead.
    """

    def __init__(self, detector: nn.Module) -> None:
        dividing = [m for m in detector.modules() if isinstance(_divisors(m), Divisors)]
        self._heads = [module for module in dividing if isinstance(module, CountingHead)]
        self._is_alone = len(dividing) == 1
        neck = getattr(detector, "neck", None)
        self._strides = [spec.stride for spec in neck.feature_specs] if neck is not None else []
        self._ahead: list[tuple[CountingHead, list[Tensor]]] = []
        self._behind: list[Tensor] = []  # counts of the batches of a head that predictions decide
        self._compared: set[tuple[int, int]] = set()

    def begin(self, batch: BatchOfStep, batches: int) -> None:
        """Count the batches of a step; all ranks call it together.

        Args:
            batch: The first of them, on its device.
            batches: How many of them are trained on.
        """
        self._ahead, self._behind = [], []
        for head in self._heads:
            counts = self._count(head, batch, batches)
            head.divisors.of_step = None if counts is None else _of_all(counts)
            if counts is not None:
                self._ahead.append((head, counts))

    def _count(self, head: CountingHead, batch: BatchOfStep, batches: int) -> list[Tensor] | None:
        counts = []
        for height, width, targets in batch.step[:batches]:
            sizes = [(-(-height // stride), -(-width // stride)) for stride in self._strides]
            objects = [target.to(batch.images.device) for target in targets]
            found = head.count(sizes, objects) if sizes else None
            if found is None:
                return None
            counts.append(found.float())
        return counts

    def after_batch(self, batch: BatchOfStep, number: int) -> None:
        """Compare a batch's actual counts with the predicted ones.

        Args:
            batch: The batch.
            number: Its place in its step.
        """
        size = (batch.images.shape[-2], batch.images.shape[-1])
        for head, counts in self._ahead if size not in self._compared else []:
            actual = head.divisors.counts.float()
            if not torch.allclose(actual, counts[number], rtol=1e-3, atol=1e-3):
                _log.warning(
                    "%s counted %s in a batch, but its objects predict %s: accumulated gradients "
                    "differ from those of one larger batch",
                    *(type(head).__name__, actual.tolist(), counts[number].tolist()),
                )
        self._compared.add(size)
        if not self._ahead and self._is_alone and self._heads and self._heads[0].has_one_divisor:
            divisors = self._heads[0].divisors
            self._behind.append(divisors.counts.detach().float())
            if divisors.of_step is None:
                divisors.of_step = _of_all(self._behind)

    def correction(self) -> float:
        """What the accumulated gradient has to be multiplied by; all ranks call it together."""
        if not self._behind:
            return 1.0
        used = self._heads[0].divisors.of_step
        return float((used / _of_all(self._behind)).flatten()[0])


def _divisors(module: nn.Module) -> object:
    return getattr(module, "divisors", None)


def _of_all(counts: Sequence[Tensor]) -> Tensor:
    """What each batch of each rank divides by, so that the mean is that of one batch of all."""
    total = torch.stack(list(counts)).sum(dim=0)
    ranks = 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
        ranks = torch.distributed.get_world_size()
    return total.clamp(min=1) / (len(counts) * ranks)
