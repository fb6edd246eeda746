"""Find pairs of images that show the same scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.data.audit.image_scan import FileFacts

Floats = NDArray[np.float32]
_PRODUCTS_AT_ONCE = 20_000_000  # pairs of hashes compared at a time: 80 MB
_PAIRS_AT_ONCE = 512
_MOST_SHIFT = 4  # cells of the thumbnail, an eighth of the image, in each direction
_FLAT = 2.0  # standard deviation of grey levels below which there is nothing to compare
_NEAREST = 8  # images that are compared closely, of those with a like hash


class Pair(NamedTuple):
    """Two images, as positions in two lists, and their similarity (1 is equal)."""

    first: int
    second: int
    likeness: float


def is_flat(facts: FileFacts) -> bool:
    """Whether an image shows nothing: all of one brightness."""
    return facts.thumbnail.size > 0 and float(facts.thumbnail.std()) < _FLAT


def near_pairs(
    first: Sequence[FileFacts],
    second: Sequence[FileFacts],
    *,
    most_bits: int,
    least_likeness: float,
) -> list[Pair]:
    """For each image of the second list, the image of the first with the same scene, if any.

    Candidates are pairs whose difference hashes disagree in few of 64 bits. A candidate counts when
    the brightness of the two thumbnails correlates, with one moved against the other by up to an
    eighth of the image, so that a second shot of a scene is found and a like background is not.

    Args:
        first: Facts of images; those without a hash and those that show nothing are left out.
        second: Facts of the others.
        most_bits: Bits of the hash that may differ.
        least_likeness: Least correlation.

    Returns:
        Pairs, most alike first; each image of the second list is in one at most.
    """
    first_rows, second_rows = _comparable(first), _comparable(second)
    if not first_rows or not second_rows:
        return []
    matches = _candidates(_signs(first, first_rows), _signs(second, second_rows), most_bits)
    candidates = np.array(list(matches), dtype=np.int64).reshape(-1, 2)
    best: dict[int, Pair] = {}
    for start in range(0, len(candidates), _PAIRS_AT_ONCE):
        block = candidates[start : start + _PAIRS_AT_ONCE]
        a = _thumbnails(first, [first_rows[position] for position in block[:, 0]])
        b = _thumbnails(second, [second_rows[position] for position in block[:, 1]])
        for (i, j), value in zip(block.tolist(), shifted_correlation(a, b), strict=True):
            pair = Pair(first_rows[i], second_rows[j], round(float(value), 3))
            earlier = best.get(pair.second)
            if value >= least_likeness and (earlier is None or earlier.likeness < pair.likeness):
                best[pair.second] = pair
    return sorted(best.values(), key=lambda pair: -pair.likeness)


def _comparable(facts: Sequence[FileFacts]) -> list[int]:
    return [i for i, fact in enumerate(facts) if fact.bits.size and not is_flat(fact)]


def _signs(facts: Sequence[FileFacts], positions: Sequence[int]) -> Floats:
    bits = np.stack([facts[position].bits for position in positions])
    return bits.astype(np.float32) * 2 - 1


def _thumbnails(facts: Sequence[FileFacts], positions: Sequence[int]) -> Floats:
    return np.stack([facts[position].thumbnail for position in positions]).astype(np.float32)


def _candidates(first: Floats, second: Floats, most_bits: int) -> Iterator[tuple[int, int]]:
    """Pairs of hashes that differ in few bits: for each one on the right, the nearest few.

    The product of two rows of n signs is n less two for each place in which they differ.
    """
    least = first.shape[1] - 2 * most_bits
    step = max(1, _PRODUCTS_AT_ONCE // len(first))
    for start in range(0, len(second), step):
        products = second[start : start + step] @ first.T
        alike = products >= least
        for row in np.flatnonzero(alike.any(axis=1)).tolist():
            columns = np.flatnonzero(alike[row])
            nearest = columns[np.argsort(-products[row, columns], kind="stable")[:_NEAREST]]
            for column in nearest.tolist():
                yield column, start + row


def shifted_correlation(first: Floats, second: Floats) -> Floats:
    """(P,) best correlation of (P, S, S) pictures over small shifts of one against the other."""
    best = np.full(len(first), -1, dtype=np.float32)
    for down in range(-_MOST_SHIFT, _MOST_SHIFT + 1):
        for across in range(-_MOST_SHIFT, _MOST_SHIFT + 1):
            a = _standard(_window(first, down, across))
            b = _standard(_window(second, -down, -across))
            best = np.maximum(best, (a * b).sum(axis=1))
    return best


def _window(pictures: Floats, down: int, across: int) -> Floats:
    """Crop pictures to their overlap with a shifted copy; the opposite shift crops the copy."""
    height, width = pictures.shape[1:]
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, across), width + min(0, across))
    return pictures[:, rows, columns].reshape(len(pictures), -1)


def _standard(values: Floats) -> Floats:
    """Rows with mean 0 and length 1."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    standard: Floats = centred / np.maximum(length, 1e-6)
    return standard


def equal_pairs(first: Sequence[FileFacts], second: Sequence[FileFacts]) -> list[Pair]:
    """For each image of the second list, the first image of the other list with the same bytes."""
    positions: dict[bytes, int] = {}
    for position, facts in enumerate(first):
        positions.setdefault(facts.digest, position)
    return [
        Pair(positions[facts.digest], position, 1.0)
        for position, facts in enumerate(second)
        if facts.digest and facts.digest in positions
    ]
