"""The samples that were asked for last."""

from __future__ import annotations

from collections import OrderedDict

from detkit.structures import Sample


class RecentSamples:
    """Samples by position, as many of those used last as fit.

    Args:
        limit: Bytes that their images take at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._kept: OrderedDict[int, tuple[int, Sample]] = OrderedDict()

    def get(self, position: int) -> tuple[int, Sample] | None:
        """How many steps had been done to the sample, and the sample; None where it is gone."""
        if position in self._kept:
            self._kept.move_to_end(position)
        return self._kept.get(position)

    def keep(self, position: int, steps: int, sample: Sample) -> None:
        """Keep a sample that is not kept yet, and let go of the oldest ones."""
        self._kept[position] = steps, sample
        self.held += _size(sample)
        while self.held > self.limit:
            self.held -= _size(self._kept.popitem(last=False)[1][1])

    def clear(self) -> None:
        """Let go of all."""
        self._kept.clear()
        self.held = 0


def _size(sample: Sample) -> int:
    return sample.image.untyped_storage().nbytes()
