"""A sampling: how often each training image comes in an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit import register
from detkit.registry import NonNegativeFloat
from detkit.structures import DatasetIndex


@register("sampling", "my_sampling")
class MySampling:
    """Images without objects come less often than the others.

    Args:
        empty_share: How often an image without objects comes in an epoch, in the mean.
    """

    def __init__(self, *, empty_share: NonNegativeFloat = 0.25) -> None:
        self.empty_share = empty_share

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]:
        """(N,) for the N images of the index."""
        objects = np.diff(index.object_offsets)  # (N,)
        return np.where(objects == 0, self.empty_share, 1.0)
