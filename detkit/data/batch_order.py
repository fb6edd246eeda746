"""The order of samples: the images in each batch of an epoch, on each rank."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import Sampler

from detkit.data.detection_dataset import Key
from detkit.data.randomness import ORDER, SCALE, generator_of

_GROUP = 32  # images that are mixed with each other; a worker decodes each of them once
_TINY = 1e-9  # a sum of shares may miss a whole number by rounding


def _rank_and_world() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class _EpochSampler(Sampler[list[Key]]):
    """A batch sampler whose epoch Lightning can set."""

    def __init__(self) -> None:
        self.epoch = 0

    @property
    def sampler(self) -> _EpochSampler:
        """Itself: Lightning calls `loader.batch_sampler.sampler.set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch


class TrainingBatches(_EpochSampler):
    """Shuffled batches as a function of (seed, epoch), sharded over ranks.

    All ranks get the same number of batches. Step s of W ranks takes the same images as one process
    with W times the batch size. An incomplete last step is dropped, unless the data set has fewer
    images than one step: then a single step takes all images, and ranks repeat images so that all
    have the same number.

    Args:
        count: Images of the data set.
        batch_size: Images of a batch on one rank.
        seed: Seed of the order and of the scales.
        scales: Factors for multi-scale training, the same on all ranks.
        scale_every: Steps after which another factor is drawn.
        shares: (N,) the mean number of times that each image is in an epoch; each epoch draws the
            whole number below or above. None uses each image once.
        skip: An epoch and how many of its first batches to skip, since an interrupted training has
            done them already. The length still counts them.
        grouped: Whether keys name a group for transforms that mix images: the 32 of the epoch's
            order among which the image is, whatever the sizes of batches and the number of ranks.
    """

    def __init__(
        self,
        count: int,
        *,
        batch_size: int,
        seed: int,
        scales: Sequence[float] | None = None,
        scale_every: int = 1,
        shares: NDArray[np.float64] | None = None,
        skip: tuple[int, int] = (0, 0),
        grouped: bool = False,
    ) -> None:
        super().__init__()
        self.skip = skip
        # Lightning creates the first iterator, whose workers draw keys at once, before it sets the
        # epoch: otherwise a resumed training would start with batches of epoch 0.
        self.epoch = skip[0]
        # The same in each epoch, so that schedules know the total number of steps.
        self.count = count if shares is None else max(math.floor(shares.sum() + _TINY), 1)
        self.batch_size = batch_size
        self.seed = seed
        self.scales = list(scales or [1.0])
        self.scale_every = scale_every
        self.shares = shares
        self.grouped = grouped

    def __len__(self) -> int:
        _, world = _rank_and_world()
        return max(1, self.count // (self.batch_size * world)) if self.count else 0

    def __iter__(self) -> Iterator[list[Key]]:
        rank, world = _rank_and_world()
        generator, count = generator_of(ORDER, self.seed, self.epoch), self.count
        positions, repeats = list(range(count)), [0] * count
        if self.shares is not None:
            positions, repeats = _repeated(self.shares, generator)
        order = torch.randperm(len(positions), generator=generator).tolist()[:count]
        groups = _groups([positions[i] for i in order]) if self.grouped else {}
        size = min(self.batch_size, math.ceil(count / world))
        draws = generator_of(SCALE, self.seed, self.epoch)
        choices = torch.randint(len(self.scales), (len(self),), generator=draws).tolist()
        for step in range(self.skip[1] if self.epoch == self.skip[0] else 0, len(self)):
            start = (step * world + rank) * size
            scale = self.scales[choices[step // self.scale_every]]
            indices = [index % count for index in range(start, start + size)]
            rows = [(order[index], groups.get(index // _GROUP, ())) for index in indices]
            yield [Key(self.epoch, positions[i], scale, repeats[i], g) for i, g in rows]


def _groups(positions: list[int]) -> dict[int, tuple[int, ...]]:
    """Groups of 32 positions by group number; the last group overlaps to have 32 as well."""
    starts = range(0, len(positions), _GROUP)
    last = max(len(positions) - _GROUP, 0)
    return {n: tuple(positions[min(s, last) :][:_GROUP]) for n, s in enumerate(starts)}


def _repeated(
    shares: NDArray[np.float64], generator: torch.Generator
) -> tuple[list[int], list[int]]:
    """Positions, each repeated according to its share, and the number of earlier repeats.

    The shares are laid end to end on a line, shifted by one random number; an image is repeated for
    each whole number in its interval. Its mean number of repeats is then its share, and the total
    of all images differs by at most one between epochs.
    """
    ends = np.cumsum(shares) + float(torch.rand((), generator=generator, dtype=torch.float64))
    counts = np.diff(np.floor(ends + _TINY), prepend=0).astype(np.int64)
    positions = np.repeat(np.arange(len(counts)), counts)
    repeats = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    return positions.tolist(), repeats.tolist()


class EvaluationBatches(_EpochSampler):
    """All images in order, sharded over ranks, the same in every epoch.

    Every rank gets the same number of batches, so that all make the same collective calls. If the
    images do not divide evenly, the last ranks repeat the first ones: metrics store images by id,
    so a repeated image counts once.

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
        share = math.ceil(self.count / world)
        positions = [(rank + world * number) % self.count for number in range(share)]
        for start in range(0, share, self.batch_size):
            yield [Key(0, position) for position in positions[start : start + self.batch_size]]
