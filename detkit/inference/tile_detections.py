"""The detections of an image's tiles, merged to those of the image; imports no torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.inference.tiling import Tiling
from detkit.pixels.resizing import Size
from detkit.pixels.tiles import Window
from detkit.structures.arrays import DetectionArrays
from detkit.structures.mask_arrays import MaskArrays

T = TypeVar("T")
# A box this close to an inner border of its tile, as a share of the tile, may be cut there.
_BORDER = 0.01
_COVERED = 0.5  # share of a cut box inside a whole box
_CONFIDENT = 0.5  # least score of the whole box as a share of the cut box's


class _Pending(NamedTuple, Generic[T]):
    image: T
    size: Size
    windows: list[Window]
    detections: list[DetectionArrays]


class TileQueue(Generic[T]):
    """Images whose tiles are on their way through a detector, oldest first.

    Tiles of several images may share a batch; an image is finished with its last tile.

    Args:
        tiling: How images are cut, and detections merged.
    """

    def __init__(self, tiling: Tiling) -> None:
        self._tiling, self._merging = tiling, tiling.merging()
        self._pending: deque[_Pending[T]] = deque()

    def add(self, image: T, size: Size) -> list[Window]:
        """Add an image of a (height, width); returns the windows to detect in, in this order."""
        windows = self._tiling.windows(size)
        self._pending.append(_Pending(image, size, windows, []))
        return windows

    def finish(self, detections: Iterable[DetectionArrays]) -> Iterator[tuple[T, DetectionArrays]]:
        """Take the detections of the next tiles.

        Args:
            detections: In the pixels of each tile.

        Yields:
            Each image that is finished, and its detections in pixels of the image.
        """
        for tile in detections:
            oldest = self._pending[0]
            oldest.detections.append(tile)
            if len(oldest.detections) == len(oldest.windows):
                self._pending.popleft()
                yield oldest.image, self._merged(*oldest[1:])

    def _merged(
        self, size: Size, windows: Sequence[Window], tiles: Sequence[DetectionArrays]
    ) -> DetectionArrays:
        if len(tiles) == 1:  # nothing to merge: the same as without tiling
            return tiles[0]
        views = [_moved(tile, window, size) for tile, window in zip(tiles, windows, strict=True)]
        if self._tiling.drop_cut:
            views = without_cut(views, windows, size)
        merged = self._merging(views)
        masks = _masks_of(views)
        return merged if masks is None else _with_masks(merged, views, masks, self._merging.name)


def without_cut(
    views: Sequence[DetectionArrays], windows: Sequence[Window], size: Size
) -> list[DetectionArrays]:
    """The detections of each tile without those that another tile shows more of.

    A box that ends within 1 % of a tile's side of an inner border of its tile may show a part of an
    object. It is dropped if a box of its class that ends at no inner border, from another tile,
    covers half of it or more and scores at least half as high. Otherwise it stays, such as the
    parts of an object that fits in no tile.

    Args:
        views: The detections of each tile, in pixels of the image.
        windows: The tiles.
        size: (height, width) of the image.
    """
    view = np.repeat(np.arange(len(views)), [len(detections.scores) for detections in views])
    boxes, scores, labels = (np.concatenate(column) for column in zip(*views, strict=True))
    is_cut = _ends_at_inner_border(boxes, np.array(windows, np.float32)[view], size)
    drop = np.zeros(len(boxes), np.bool_)
    for label in np.unique(labels[is_cut]):
        cut = np.flatnonzero(is_cut & (labels == label))
        whole = np.flatnonzero(~is_cut & (labels == label))
        shows_more = _covered_shares(boxes[cut], boxes[whole]) >= _COVERED
        shows_more &= view[cut][:, None] != view[whole]
        shows_more &= scores[whole] >= _CONFIDENT * scores[cut][:, None]
        drop[cut] = shows_more.any(axis=1)
    return [detections.select(~drop[view == n]) for n, detections in enumerate(views)]


def _ends_at_inner_border(
    boxes: NDArray[np.float32], windows: NDArray[np.float32], size: Size
) -> NDArray[np.bool_]:
    """(N,) whether a side of each box is at a border of its window that is inside the image."""
    sides = np.tile(windows[:, 2:] - windows[:, :2], 2)
    inner = windows != np.array([0, 0, size[1], size[0]])
    ends: NDArray[np.bool_] = (np.abs(boxes - windows) <= _BORDER * sides) & inner
    return np.asarray(ends.any(axis=1))


def _covered_shares(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) the share of each box's area that each of the others covers."""
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    return np.asarray(np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0))


def _moved(tile: DetectionArrays, window: Window, size: Size) -> DetectionArrays:
    """Detections in pixels of a window, in pixels of the image."""
    shift = np.array([window.left, window.top] * 2, np.float32)
    moved = tile._replace(boxes=tile.boxes + shift)
    masks: Any = tile.masks
    if masks is None:
        return moved
    # arrays of PyTorch become NumPy's, and their pixels stay the same
    maps, boxes = np.asarray(masks.probabilities), np.asarray(masks.boxes)
    return moved.with_masks(MaskArrays(maps, boxes + shift, size))


def _masks_of(views: Sequence[DetectionArrays]) -> MaskArrays | None:
    masks = [view.masks for view in views if isinstance(view.masks, MaskArrays)]
    if not masks:
        return None
    maps, boxes = (
        np.concatenate([getattr(m, name) for m in masks]) for name in masks[0]._fields[:2]
    )
    return MaskArrays(maps, boxes, masks[0].size)


def _with_masks(
    merged: DetectionArrays, views: Sequence[DetectionArrays], masks: MaskArrays, method: str
) -> DetectionArrays:
    """Merged detections with the masks of the detections that they were.

    Raises:
        UserError: The method made new boxes, which no mask fits.
    """
    boxes, _, labels = (np.concatenate(column) for column in zip(*views, strict=True))
    positions = {
        (*box, label): n
        for n, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True))
    }
    keys = [
        (*box, label)
        for box, label in zip(merged.boxes.tolist(), merged.labels.tolist(), strict=True)
    ]
    if any(key not in positions for key in keys):
        raise UserError(
            f"tiling.merge={method}: makes new boxes, and this detector's masks fit the boxes of "
            "single tiles: choose nms or soft_nms."
        )
    return merged.with_masks(masks.select(np.array([positions[key] for key in keys], np.int64)))
