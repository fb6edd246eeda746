"""Measure how fast the loader, and one process alone, deliver training images."""

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
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.structures import Batch

_T = TypeVar("_T")
_MOST_SAMPLES = 8  # per round, in one process


def endless(batches: Iterable[_T]) -> Iterator[_T]:
    """Repeat the first epoch without end; the last epochs may leave out transforms."""
    while True:
        yield from batches


def sample_times(
    dataset: DetectionDataset, batches: Iterable[Sequence[Key]], rounds: int
) -> tuple[Times, Times]:
    """Mean seconds per round for one sample in this process, and for decoding one image.

    Uses one thread, as a loader process does. A transform that mixes images decodes several images
    per sample.

    Args:
        dataset: The training samples.
        batches: Their keys.
        rounds: Number of measurements, each of other samples.
    """
    keys = chain.from_iterable(endless(batches))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measurements = [
            _round(dataset, list(islice(keys, _MOST_SAMPLES))) for _ in range(1 + rounds)
        ]
    finally:
        torch.set_num_threads(threads)
    samples, decodings = zip(*measurements[1:], strict=True)
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
    """Seconds per image of a loader whose batches are discarded at once.

    Workers deliver in bursts, so a round is one batch of each worker. The first rounds, in which
    the workers start, do not count.

    Args:
        loader: The loader.
        batches: Its batches, without end.
        rounds: Number of measurements.
    """
    seconds_per_image = []
    for number in range(-WARM_UP, rounds):
        start = time.perf_counter()
        images = sum(len(next(batches)) for _ in range(max(loader.num_workers, 1)))
        if number >= 0:
            seconds_per_image.append((time.perf_counter() - start) / images)
    return Times(tuple(seconds_per_image))
