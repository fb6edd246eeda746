"""Tensors of pairs, such as objects and priors, in a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Iterator

# Pairs at once: a tensor of 4 MB. Comparing boxes holds about six, where 100 objects and 200,000
# anchors of a large image would take 480 MB. On a CPU larger ones are slower, up to tenfold: they
# leave the cache, and the allocator gives their pages back after each operation.
MOST_PAIRS = 2**20


def row_chunks(rows: int, width: int) -> Iterator[slice]:
    """Slices that cover all rows of a tensor (rows, width), each of few enough to be worked on."""
    step = max(1, MOST_PAIRS // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
