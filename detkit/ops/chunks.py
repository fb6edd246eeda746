"""Split large tensors of pairs, such as objects and priors, into chunks to bound memory."""

from __future__ import annotations

from collections.abc import Iterator

# Pairs per chunk, a 4 MB tensor. Comparing boxes holds about six such tensors; without chunks, 100
# objects and 200,000 anchors of a large image would take 480 MB. On a CPU, larger chunks are up to
# ten times slower: they leave the cache, and the allocator returns their pages each time.
MOST_PAIRS = 2**20


def row_chunks(rows: int, width: int) -> Iterator[slice]:
    """Slices that cover all rows of a (rows, width) tensor, at most MOST_PAIRS values each."""
    step = max(1, MOST_PAIRS // max(1, width))
    if rows <= step:  # a graph then serves any such number; as a loop, it would be for this one
        if rows > 0:
            yield slice(0, rows)
        return
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
