"""Objects behind pasted pixels: what remains visible of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.data.transforms.geometry import visible_shares
from detkit.structures import Outlines, Target
from detkit.structures.outlines import rectangles_of


def visible_target(target: Target, covered: torch.Tensor, least_kept: float) -> Target:
    """The objects that remain visible enough.

    Masks lose their covered pixels, and the boxes around them shrink with them. An object without a
    mask is judged by its box, which does not change.

    Args:
        target: The objects.
        covered: (H, W) bool, the pixels in front of them.
        least_kept: Share of an object that must be visible.
    """
    shares = visible_shares(target.boxes, covered)
    if target.outlines is None:
        return target.select(shares >= least_kept)
    boxes, hidden = target.boxes.clone(), covered.numpy()
    rings: list[list[NDArray[np.float64]]] = []
    for position, has_mask in enumerate(target.outlines.has_mask.tolist()):
        if not has_mask:  # proposals are thousands of objects without a mask
            rings.append([])
            continue
        whole = target.outlines.bitmap(position, hidden.shape)
        visible = whole & ~hidden
        is_cut = bool((whole & hidden).any())
        rings.append(rectangles_of(visible) if is_cut else target.outlines.rings(position))
        if whole.any():
            shares[position] = float(visible.sum() / whole.sum())
        if is_cut and visible.any():
            boxes[position] += torch.tensor(_sides(visible) - _sides(whole), dtype=boxes.dtype)
    is_left = (boxes[:, 2:] > boxes[:, :2]).all(dim=1) & (shares > 0)
    remaining = Target(boxes, target.labels, target.ignored, target.areas, Outlines.of(rings))
    return remaining.select(is_left & (shares >= least_kept))


def _sides(bitmap: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The box (x1, y1, x2, y2) around the pixels of a bitmap."""
    rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
