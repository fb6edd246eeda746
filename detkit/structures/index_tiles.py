"""Which part of which image each entry of an index shows, for images that are cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from detkit.structures.dataset import DatasetIndex


@dataclass(frozen=True)
class IndexTiles:
    """The tiles of an index. N tiles.

    Attributes:
        images: The index of the whole images.
        positions: (N,) int64 position of each tile's image in `images`.
        windows: (N, 4) int32 left, top, right and bottom of each tile in its image, in pixels.
    """

    images: DatasetIndex
    positions: NDArray[np.int64]
    windows: NDArray[np.int32]

    def select(self, tiles: NDArray[np.int64]) -> IndexTiles:
        """The tiles at these positions, in this order."""
        return replace(self, positions=self.positions[tiles], windows=self.windows[tiles])
