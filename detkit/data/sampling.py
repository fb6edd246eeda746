"""Which samples make the batches of an epoch, on each rank."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import distributed
from torch.utils.data import Sampler

from detkit.data.dataset import Key
from detkit.data.randomness import ORDER, SCALE, generator_of


def _rank_and_world() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class _EpochSampler(Sampler[list[Key]]):
    """A batch sampler whose epoch can be set the way that Lightning does it."""

    def __init__(self) -> None:
        self.epoch = 0

    @property
    def sampler(self) -> _EpochSampler:
        """Itself: Lightning calls `loader.batch_sampler.sampler.set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next iteration is of."""
        self.epoch = epoch


class TrainingBatches(_EpochSampler):
    """Shuffled batches as a function of (seed, epoch), sharded over ranks.

    All ranks get the same number of batches. Step s of W ranks takes the same images as one process
    with W times the batch size would. An incomplete last step is left out, unless the data set has
    fewer images than one step takes: then there is one step of all images, in which ranks repeat
    images so that each has equally many.

    Args:
        count: Images of the data set.
        batch_size: Images of a batch on one rank.
        seed: Seed of the order and of the scales.
        scales: Factors for multi-scale training; each step draws one, the same on all ranks.
        skip: An epoch, and the number of its first batches that are left out: those that a training
            had done when it was interrupted. The length still counts them.
    """

    def __init__(
        self,
        count: int,
        *,
        batch_size: int,
        seed: int,
        scales: Sequence[float] | None = None,
        skip: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.skip = skip
        # Lightning makes the first iterator, whose workers draw keys at once, before it sets the
        # epoch: a resumed training would begin with batches of epoch 0.
        self.epoch = skip[0]
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.scales = list(scales or [1.0])

    def __len__(self) -> int:
        _, world = _rank_and_world()
        return max(1, self.count // (self.batch_size * world)) if self.count else 0

    def __iter__(self) -> Iterator[list[Key]]:
        rank, world = _rank_and_world()
        order = torch.randperm(self.count, generator=generator_of(ORDER, self.seed, self.epoch))
        positions = order.tolist()
        size = self.batch_size
        if self.count < size * world:
            size = math.ceil(self.count / world)
            positions = (positions * world)[: size * world]
        draws = generator_of(SCALE, self.seed, self.epoch)
        choices = torch.randint(len(self.scales), (len(self),), generator=draws).tolist()
        epoch, done = self.skip
        for step, choice in enumerate(choices):
            if self.epoch == epoch and step < done:
                continue
            start = (step * world + rank) * size
            scale = self.scales[choice]
            yield [Key(self.epoch, p, scale) for p in positions[start : start + size]]


class EvaluationBatches(_EpochSampler):
    """All images in order, sharded over ranks, the same in every epoch.

    Every rank gets the same number of batches, so that collective calls are made equally often.
    Where the images do not divide evenly, the first ones are given again to the last ranks: metrics
    count images by id, so one that is seen twice counts once.

    Args:
        count: Images of the data set.
        batch_size: Images of a batch on one rank.
    """

    def __init__(self, count: int, *, batch_size: int) -> None:
        super().__init__()
        self.count = count
        self.batch_size = batch_size

    def __len__(self) -> int:
        _, world = _rank_and_world()
        return math.ceil(math.ceil(self.count / world) / self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        rank, world = _rank_and_world()
        each = math.ceil(self.count / world)
        mine = [(rank + world * number) % self.count for number in range(each)]
        for start in range(0, each, self.batch_size):
            yield [Key(0, position) for position in mine[start : start + self.batch_size]]
