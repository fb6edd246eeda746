"""A sampling: how often an epoch repeats each training image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit import register
from detkit.registry import NonNegativeFloat
from detkit.structures import DatasetIndex


@register("sampling", "my_sampling")
class MySampling:
    """Uses images without objects less often than others.

    Args:
        empty_share: Mean number of times that an image without objects is in an epoch.
    """

    def __init__(self, *, empty_share: NonNegativeFloat = 0.25) -> None:
        self.empty_share = empty_share

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]:
        """(N,) for the N images of the index."""
        objects = np.diff(index.object_offsets)  # (N,)
        return np.where(objects == 0, self.empty_share, 1.0)
