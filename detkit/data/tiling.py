"""Cut the images of an index into overlapping tiles, with their objects."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.data.index_selection import offsets
from detkit.errors import ConfigError, DataError
from detkit.pixels.resizing import Size
from detkit.pixels.tiles import Window, tile_windows
from detkit.registry import Fraction, PositiveInt
from detkit.structures import DatasetIndex
from detkit.structures.dataset import IndexTiles
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")


@dataclass(frozen=True)
class TrainingTiles:
    """Trains on overlapping tiles of the images instead of whole images.

    An object that a tile cuts is clipped to the tile if at least `min_visible` of its box is inside
    the tile. Less than that is an ignored region: neither an object nor background.

    Args:
        size: Height and width of a tile in pixels of the image, one number for both or [height,
            width]; null trains on whole images.
        overlap: Share of a tile that neighbours have in common.
        min_visible: The least share of an object's box in a tile that counts as the object.
        empty: The share of the training tiles without an object that are used, spread evenly.
        full_image: Whether to train on the whole images too, which shows objects larger than a
            tile.
    """

    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    overlap: Fraction = 0.2
    min_visible: Fraction = 0.3
    empty: Fraction = 0.2
    full_image: bool = False

    def __post_init__(self) -> None:
        """Refuse tiles that would not advance."""
        if self.overlap >= 1:
            raise ConfigError(
                [
                    f"data.tiling.overlap: is {self.overlap:g}: expected a share of the tile, from "
                    "0 to below 1."
                ]
            )

    @property
    def tile(self) -> Size | None:
        """(height, width) of a tile; None for whole images."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def windows(self, size: Size) -> list[Window]:
        """The tiles of an image (height, width)."""
        windows = tile_windows(size, self.tile or size, self.overlap)
        if self.full_image and len(windows) > 1:
            windows.append(Window(0, 0, size[1], size[0]))
        return windows


class TileCutter:
    """Cuts indices into tiles, each index once; without a tile size it returns them unchanged.

    Args:
        settings: How to cut.
        has_proposals: Whether a file of regions belongs to the whole images.

    Raises:
        ConfigError: It has, and images are cut.
    """

    def __init__(self, settings: TrainingTiles, *, has_proposals: bool = False) -> None:
        if settings.size is not None and has_proposals:
            raise ConfigError(
                [
                    "data.tiling: proposer 'external' reads the regions of whole images, which do "
                    "not belong to tiles: train without tiles, or with another proposer."
                ]
            )
        self.settings = settings
        self._cut: dict[tuple[int, bool], tuple[DatasetIndex, DatasetIndex]] = {}

    def __call__(self, index: DatasetIndex, *, all_tiles: bool = False) -> DatasetIndex:
        """The tiles of an index; see `cut_index`."""
        if self.settings.size is None:
            return index
        key = id(index), all_tiles
        if key not in self._cut:
            self._cut[key] = index, cut_index(index, self.settings, all_tiles=all_tiles)
        return self._cut[key][1]


class _Objects(NamedTuple):
    """Objects in tiles: rows of the index, and their boxes in their tiles."""

    tiles: NDArray[np.int64]
    rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    visible: NDArray[np.float32]

    def where(self, keep: NDArray[np.bool_]) -> _Objects:
        return _Objects(self.tiles[keep], self.rows[keep], self.boxes[keep], self.visible[keep])


def cut_index(index: DatasetIndex, settings: TrainingTiles, *, all_tiles: bool) -> DatasetIndex:
    """The index of the tiles of all images, image by image.

    Args:
        index: Whole images.
        settings: How to cut.
        all_tiles: Whether to keep every tile without an object, as for measuring.

    Raises:
        DataError: The reader does not know how large the images are.
    """
    if not index.sizes.all():
        position = int((index.sizes == 0).any(axis=1).argmax())
        raise DataError(
            f"data.tiling: the reader does not know the size of {index.path(position)}, so its "
            "tiles cannot be laid out: use a reader that reads sizes, or data.tiling.size=null."
        )
    windows = [settings.windows((height, width)) for height, width in index.sizes.tolist()]
    positions = np.repeat(np.arange(len(index)), [len(group) for group in windows])
    tiles = IndexTiles(
        index, positions, np.array([w for group in windows for w in group], np.int32)
    )
    objects = _objects_in(index, tiles)
    is_learned = ~index.ignored[objects.rows] & (objects.visible >= settings.min_visible)
    has_object = np.bincount(objects.tiles[is_learned], minlength=len(positions)) > 0
    used = np.flatnonzero(has_object | all_tiles | _spread(~has_object, settings.empty))
    _report(index, settings, objects.rows[is_learned], len(positions), len(used))
    numbers = np.full(len(positions), -1)
    numbers[used] = np.arange(len(used))
    keep = numbers[objects.tiles] >= 0
    objects = objects.where(keep)._replace(tiles=numbers[objects.tiles[keep]])
    return _index_of(index, tiles.select(used), objects, settings.min_visible)


def _objects_in(index: DatasetIndex, tiles: IndexTiles) -> _Objects:
    """Every object in every tile that shows some of it, tile by tile."""
    none = np.zeros(0, np.int64)
    parts = [_Objects(none, none, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))]
    first = np.searchsorted(tiles.positions, np.arange(len(index) + 1))
    for position in range(len(index)):
        rows = np.arange(*index.object_offsets[position : position + 2])
        numbers = np.arange(first[position], first[position + 1])
        windows = tiles.windows[numbers].astype(np.float32)[:, None]
        boxes, origins = index.boxes[rows], np.tile(windows[..., :2], 2)
        clipped = boxes.clip(origins, np.tile(windows[..., 2:], 2))
        sides = clipped[..., 2:] - clipped[..., :2]
        moved = clipped - origins
        tile, row = np.nonzero((moved[..., 2:] > moved[..., :2]).all(axis=-1))
        visible = sides[tile, row].prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[row]
        parts.append(_Objects(numbers[tile], rows[row], moved[tile, row], visible))
    return _Objects(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _spread(candidates: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """A share of the candidates, spread evenly over them."""
    count = candidates.cumsum()
    return candidates & (np.floor(count * share) > np.floor((count - 1) * share))


def _index_of(
    index: DatasetIndex, tiles: IndexTiles, objects: _Objects, min_visible: float
) -> DatasetIndex:
    """The index of some tiles; ids are numbers from 1, as those of images would repeat."""
    names = [
        index.file_names[index.file_offsets[p] : index.file_offsets[p + 1]] for p in tiles.positions
    ]
    rows, windows = objects.rows, tiles.windows
    return replace(
        index,
        file_names=b"".join(names),
        file_offsets=offsets([len(name) for name in names]),
        image_ids=np.arange(1, len(names) + 1),
        sizes=np.stack([windows[:, 3] - windows[:, 1], windows[:, 2] - windows[:, 0]], axis=1),
        object_offsets=offsets(np.bincount(objects.tiles, minlength=len(names)).tolist()),
        boxes=objects.boxes,
        labels=index.labels[rows],
        ignored=index.ignored[rows] | (objects.visible < min_visible),
        areas=index.areas[rows] * objects.visible,
        outlines=None if index.outlines is None else index.outlines.select(rows),
        tiles=tiles,
    )


def _report(
    index: DatasetIndex,
    settings: TrainingTiles,
    learned: NDArray[np.int64],
    count: int,
    used: int,
) -> None:
    """Log how many tiles there are, and how many objects no tile shows enough of."""
    height, width = settings.tile or (0, 0)
    text = (
        f"data.tiling: {counted(len(index), 'image')} cut into {counted(count, 'tile')} of {width} "
        f"x {height} pixels"
    )
    if used < count:
        text += f", {count - used:,} without an object left out (data.tiling.empty)"
    LOGGER.info("%s", text)
    total = int((~index.ignored).sum())
    missing = total - len(np.unique(learned))
    if missing:
        LOGGER.warning(
            "data.tiling: no tile shows %g of %s of %s: take larger tiles, or "
            "data.tiling.full_image=true",
            settings.min_visible,
            f"{missing:,}",
            counted(total, "object"),
        )
