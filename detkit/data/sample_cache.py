"""A cache of the most recently used samples."""

from __future__ import annotations

from collections import OrderedDict

from detkit.structures import Sample


class RecentSamples:
    """The most recently used samples by position, up to a memory limit.

    Args:
        limit: The largest total size of their images in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._kept: OrderedDict[int, tuple[int, Sample]] = OrderedDict()

    def get(self, position: int) -> tuple[int, Sample] | None:
        """The number of transforms already applied and the sample; None if it is not cached."""
        if position in self._kept:
            self._kept.move_to_end(position)
        return self._kept.get(position)

    def keep(self, position: int, steps: int, sample: Sample) -> None:
        """Add a new sample, and remove the oldest ones."""
        self._kept[position] = steps, sample
        self.held += _size(sample)
        while self.held > self.limit:
            self.held -= _size(self._kept.popitem(last=False)[1][1])

    def clear(self) -> None:
        """Remove all samples."""
        self._kept.clear()
        self.held = 0


def _size(sample: Sample) -> int:
    return sample.image.untyped_storage().nbytes()
