"""Make accumulated gradients equal to the gradients of one batch with all images.

Losses are divided by counts: positives, regions, images. If each batch divided by its own counts,
objects in a batch with few of them would weigh more. So all batches of an optimizer step are read
before training on the first one, their counts are summed, and each batch divides by the sum. If
the counts depend on predictions, as in a head with task-aligned targets, they are only known
afterwards: then all batches divide by the counts of the first one, and the gradient is corrected
before the optimizer step. This requires a single count for all losses.

Exceptions, which differ from one batch of all images: batch norm, which uses the statistics of each
batch, and CmBN, which uses those of the batches so far; GHM, whose weights follow the gradients of
each batch; regions, whose number is known only after the proposer ran and is mostly the same; and
heads with several counts that depend on predictions.
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
from detkit.ops.cross_mini_batch_norm import CrossMiniBatchNorm
from detkit.structures import Batch, PaddedTargets

_log = logging.getLogger("detkit.training")


@dataclass(frozen=True)
class BatchOfStep(Batch):
    """A batch with facts about all batches of its optimizer step.

    Attributes:
        step: Height, width and targets, without masks, of each batch of the step, including this
            one.
    """

    step: list[tuple[int, int, PaddedTargets]] = field(default_factory=list)


class ReadAhead:
    """A loader that reads all batches of an optimizer step before it yields the first one.

    Args:
        loader: The wrapped loader, which provides all other attributes.
        batches: The number of batches of a step.
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
            step = [
                (b.images.shape[-2], b.images.shape[-1], b.targets._replace(masks=None))
                for b in together
            ]
            for batch in together:
                values = {field.name: getattr(batch, field.name) for field in fields(Batch)}
                yield BatchOfStep(**values, step=step)


class Accumulation:
    """Lets a detector divide its losses by the counts of all batches of an optimizer step.

    Args:
        detector: A detector whose dense head or proposer is a CountingHead.
    """

    def __init__(self, detector: nn.Module) -> None:
        dividing = [m for m in detector.modules() if isinstance(_divisors(m), Divisors)]
        self._heads = [module for module in dividing if isinstance(module, CountingHead)]
        self._is_alone = len(dividing) == 1
        self._norms = [m for m in detector.modules() if isinstance(m, CrossMiniBatchNorm)]
        neck = getattr(detector, "neck", None)
        self._strides = [spec.stride for spec in neck.feature_specs] if neck is not None else []
        self._ahead: list[tuple[CountingHead, list[Tensor]]] = []
        self._behind: list[Tensor] = []  # counts of each batch, if they depend on predictions
        self._compared: set[tuple[int, int]] = set()

    def begin(self, batch: BatchOfStep, batches: int) -> None:
        """Count the batches of a step, and tell its norms; all ranks must call it together.

        Args:
            batch: The first batch of the step, on its device.
            batches: The number of batches to train on.
        """
        self._ahead, self._behind = [], []
        for norm in self._norms:
            norm.begin_step()
        for head in self._heads:
            counts = self._count(head, batch, batches)
            head.divisors.of_step = None if counts is None else _of_all(counts)
            if counts is not None:
                self._ahead.append((head, counts))

    def _count(self, head: CountingHead, batch: BatchOfStep, batches: int) -> list[Tensor] | None:
        counts = []
        for height, width, targets in batch.step[:batches]:
            sizes = [(-(-height // stride), -(-width // stride)) for stride in self._strides]
            objects = targets.to(batch.images.device)
            divisors = head.count(sizes, objects) if sizes else None
            if divisors is None:
                return None
            counts.append(divisors.float())
        return counts

    def after_batch(self, batch: BatchOfStep, number: int) -> None:
        """Compare a batch's actual counts with the predicted ones.

        Args:
            batch: The batch.
            number: Its position in its step.
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
        """The factor that corrects the accumulated gradient; all ranks must call it together."""
        if not self._behind:
            return 1.0
        used = self._heads[0].divisors.of_step
        return float((used / _of_all(self._behind)).flatten()[0])


def _divisors(module: nn.Module) -> object:
    return getattr(module, "divisors", None)


def _of_all(counts: Sequence[Tensor]) -> Tensor:
    """The divisor of each batch on each rank; makes the mean that of one batch of all images."""
    total = torch.stack(list(counts)).sum(dim=0)
    ranks = 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
        ranks = torch.distributed.get_world_size()
    return total.clamp(min=1) / (len(counts) * ranks)
