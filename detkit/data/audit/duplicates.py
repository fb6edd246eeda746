"""Pairs of images that show the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.data.audit.scan import FileFacts

Floats = NDArray[np.float32]
_PRODUCTS_AT_ONCE = 20_000_000  # pairs of hashes compared at a time: 80 MB
_PAIRS_AT_ONCE = 512
_MOST_SHIFT = 4  # cells of the thumbnail, an eighth of the image, in each direction
_FLAT = 2.0  # standard deviation of grey levels below which there is nothing to compare
MOST_PAIRS = 100_000  # of a set of repeated images; more would tell nothing new


class Pair(NamedTuple):
    """Two images, as positions in two lists, and how alike they are (1 is equal)."""

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
    """Pairs across two lists that show the same scene, most alike first.

    Candidates are pairs whose difference hashes disagree in few of 64 bits. A candidate counts when
    the brightness of the two thumbnails correlates, with one moved against the other by up to an
    eighth of the image, so that a second shot of a scene is found and a like background is not.

    Args:
        first: Facts of images; those without a hash and those that show nothing are left out.
        second: Facts of the others.
        most_bits: Bits of the hash that may differ.
        least_likeness: Least correlation.
    """
    left, right = _comparable(first), _comparable(second)
    if not left or not right:
        return []
    candidates = np.array(
        list(_alike(_signs(first, left), _signs(second, right), most_bits)), dtype=np.int64
    ).reshape(-1, 2)
    pairs = []
    for start in range(0, len(candidates), _PAIRS_AT_ONCE):
        chosen = candidates[start : start + _PAIRS_AT_ONCE]
        a = _thumbnails(first, [left[position] for position in chosen[:, 0]])
        b = _thumbnails(second, [right[position] for position in chosen[:, 1]])
        likeness = shifted_correlation(a, b)
        pairs += [
            Pair(left[i], right[j], round(float(value), 3))
            for (i, j), value in zip(chosen, likeness, strict=True)
            if value >= least_likeness
        ]
    return sorted(pairs, key=lambda pair: -pair.likeness)


def _comparable(facts: Sequence[FileFacts]) -> list[int]:
    return [i for i, found in enumerate(facts) if found.bits.size and not is_flat(found)]


def _signs(facts: Sequence[FileFacts], positions: Sequence[int]) -> Floats:
    bits = np.stack([facts[position].bits for position in positions])
    return bits.astype(np.float32) * 2 - 1


def _thumbnails(facts: Sequence[FileFacts], positions: Sequence[int]) -> Floats:
    return np.stack([facts[position].thumbnail for position in positions]).astype(np.float32)


def _alike(left: Floats, right: Floats, most_bits: int) -> Iterator[tuple[int, int]]:
    """Positions of signs that differ in few places: of n signs, a product sums to n - 2 x those."""
    least = left.shape[1] - 2 * most_bits
    found = 0
    step = max(1, _PRODUCTS_AT_ONCE // len(right))
    for start in range(0, len(left), step):
        rows, columns = np.nonzero(left[start : start + step] @ right.T >= least)
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
            if found == MOST_PAIRS:
                return
            found += 1
            yield start + i, j


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
    """What remains of pictures when they are moved by a shift; the negative one fits onto it."""
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
    """Pairs across two lists whose files hold the same bytes."""
    places: dict[bytes, list[int]] = {}
    for position, facts in enumerate(second):
        if facts.digest:
            places.setdefault(facts.digest, []).append(position)
    return [
        Pair(position, other, 1.0)
        for position, facts in enumerate(first)
        for other in places.get(facts.digest, [])[:1]
    ]
