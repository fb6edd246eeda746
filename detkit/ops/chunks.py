"""Comparing many objects with many priors in a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Iterator

# Pairs at once. Comparing boxes holds about ten numbers for each pair, so this is 170 MB, where 100
# objects and the 200,000 anchors of an 800 x 1333 image would take 800 MB.
MOST_PAIRS = 2**22


def object_chunks(objects: int, priors: int) -> Iterator[slice]:
    """Slices that cover all objects, each of few enough to be compared with all priors."""
    step = max(1, MOST_PAIRS // max(1, priors))
    for start in range(0, objects, step):
        yield slice(start, min(start + step, objects))
