"""How fast training images come: from the loader, and from one process alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import TypeVar

import torch

from detkit.benchmark.timing import WARM_UP, Times
from detkit.data.detection_data import Loader
from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.data.image_decoding import UnreadableImageError
from detkit.structures import Batch

_T = TypeVar("_T")
_MOST_SAMPLES = 8  # of a round, in one process


def endless(batches: Iterable[_T]) -> Iterator[_T]:
    """Epoch after epoch; always the first one, as the last ones may leave out transforms."""
    while True:
        yield from batches


def sample_times(
    dataset: DetectionDataset, batches: Iterable[Sequence[Key]], rounds: int
) -> tuple[Times, Times]:
    """Seconds of one sample in this process, and of decoding one image, means of a round.

    With one thread, as a worker has it. A transform that mixes images decodes several for one.

    Args:
        dataset: The training samples.
        batches: Their keys.
        rounds: Times to measure, each over other samples.
    """
    keys = chain.from_iterable(endless(batches))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = [_round(dataset, list(islice(keys, _MOST_SAMPLES))) for _ in range(1 + rounds)]
    finally:
        torch.set_num_threads(threads)
    samples, decodings = zip(*found[1:], strict=True)
    return Times(samples), Times(decodings)


def _round(dataset: DetectionDataset, keys: Sequence[Key]) -> tuple[float, float]:
    start = time.perf_counter()
    for key in keys:
        dataset[key]
    made = time.perf_counter()
    for key in keys:
        with suppress(UnreadableImageError):
            dataset.read(key.position)
    return (made - start) / len(keys), (time.perf_counter() - made) / len(keys)


def loader_times(loader: Loader, batches: Iterator[Batch], rounds: int) -> Times:
    """Seconds for each image that a loader delivers to someone who only takes.

    Workers deliver in bursts, so a round is one batch of each. Rounds that come first do not count,
    in which processes start.

    Args:
        loader: It tells its number of workers.
        batches: What it gives, without end.
        rounds: Times to measure.
    """
    found = []
    for number in range(-WARM_UP, rounds):
        start = time.perf_counter()
        images = sum(len(next(batches)) for _ in range(max(loader.num_workers, 1)))
        if number >= 0:
            found.append((time.perf_counter() - start) / images)
    return Times(tuple(found))
