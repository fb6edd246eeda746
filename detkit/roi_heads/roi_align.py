"""RoIAlign over all levels in a single operation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import roi_align

from detkit.ops.selection import is_eager_cpu
from detkit.registry import NonNegativeInt, PositiveFloat, PositiveInt, Wired, register
from detkit.roi_heads.bilinear_bags import pool_bags
from detkit.roi_heads.pooling import LevelPooling
from detkit.structures import FeatureSpec


@register("pooling", "roi_align")
class RoIAlign(LevelPooling):
    """Averages bilinear samples in each cell of a region; nothing is rounded.

    On a CPU the samples are weighted sums of cells (see `bilinear_bags`). Elsewhere torchvision's
    operator pools from all levels at once, placed below each other on one map, so that nobody has
    to count the regions of each level.

    Paper: Mask R-CNN (He et al., 2017), section 3, https://arxiv.org/abs/1703.06870; the level of
    a region as in Feature Pyramid Networks (Lin et al., 2017), https://arxiv.org/abs/1612.03144

    Args:
        size: Side of the small map, in cells.
        samples: Samples of a cell along each side; 0 takes one for each cell of the level.
        aligned: Whether the centre of a level's first cell is at half a stride, its true position;
            false reproduces the first implementations, torchvision's Faster R-CNN among them.
        coarsest_stride: Levels with a larger stride are not pooled from.
        canonical_side: Side, in pixels, of the square regions that belong to stride 16.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        size: PositiveInt = 7,
        samples: NonNegativeInt = 2,
        aligned: bool = True,
        coarsest_stride: PositiveInt = 32,
        canonical_side: PositiveFloat = 224.0,
    ) -> None:
        super().__init__(
            feature_specs=feature_specs,
            size=size,
            coarsest_stride=coarsest_stride,
            canonical_side=canonical_side,
        )
        self._samples = samples
        self._aligned = aligned
        # A cell, its bag and its weight, with 32 bits each; see `bilinear_bags`.
        self.saved_bytes = 3 * 4 * (2 * samples * size) ** 2

    def __call__(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """Maps (B, C, H_l, W_l) and regions (M, 4) of the images (M,) to (M, C, size, size)."""
        # In float32, as the coordinates of a region are; half precision would move them by pixels.
        maps = [level.to(boxes.dtype) for level in features[: len(self._strides)]]
        levels = self.level_of(boxes)
        scales = torch.zeros_like(boxes[:, 0])  # (M,) cells per pixel
        for level, stride in enumerate(self._strides):
            scales = torch.where(levels == level, 1 / stride, scales)
        in_cells = boxes * scales[:, None]
        size = self.region_shape[1]
        if self._samples and is_eager_cpu(boxes):
            in_cells = in_cells - 0.5 if self._aligned else _at_least_a_cell(in_cells)
            pooled = pool_bags(maps, in_cells, image, levels, size=size, samples=self._samples)
        else:
            sheet, shifts = _one_sheet(maps, levels)
            regions = torch.cat([image[:, None].to(boxes.dtype), in_cells + shifts], dim=1)
            samples = self._samples or -1
            pooled = roi_align(sheet, regions, size, 1.0, samples, self._aligned)
            if not self._aligned and len(maps) > 1:
                # Sides of one cell get one adaptive sample in each pooled cell.
                enlarged = _at_least_a_cell(in_cells)
                pooled = pooled * _share_inside(maps, levels, enlarged, size, self._samples or 1)
        return pooled.to(features[0].dtype)


def _at_least_a_cell(boxes: Tensor) -> Tensor:
    """Boxes (M, 4) in cells, enlarged to sides of one cell, as without `aligned`."""
    corners = boxes[:, :2]
    return torch.cat([corners, corners + (boxes[:, 2:] - corners).clamp(min=1)], dim=1)


def _one_sheet(maps: list[Tensor], levels: Tensor) -> tuple[Tensor, Tensor]:
    """Put the maps of all levels below each other.

    Each gets a border of repeated cells, which is what RoIAlign takes for samples beyond the centre
    of a border cell. It is two cells wide where `_at_least_a_cell` moves samples past the map.

    Args:
        maps: L maps (B, C, H_l, W_l), the first of which is the widest.
        levels: (M,) level of each region.

    Returns:
        The sheet (B, C, H, W), and (M, 4) the shift of each region in it, in cells.
    """
    if len(maps) == 1:
        return maps[0], maps[0].new_zeros(())
    width = maps[0].shape[3]
    top, rows = 1, []
    tops = torch.zeros_like(levels)
    for level, cells in enumerate(maps):
        with_border = pad(cells, (1, 2, 1, 2), mode="replicate")
        rows.append(pad(with_border, (0, width - cells.shape[3])))
        tops = torch.where(levels == level, top, tops)
        top = top + cells.shape[2] + 3
    shifts = torch.stack([torch.ones_like(tops), tops], dim=1).repeat(1, 2)
    return torch.cat(rows, dim=2), shifts.to(maps[0].dtype)


def _share_inside(
    maps: list[Tensor], levels: Tensor, boxes: Tensor, size: int, samples: int
) -> Tensor:
    """The share of the samples of each pooled cell that are inside the level's map.

    RoIAlign counts samples outside as 0. On the sheet they repeat the border cell, as do all
    samples of the same pooled cell, so this share of their mean is what RoIAlign gives.

    Args:
        maps: L maps (B, C, H_l, W_l).
        levels: (M,) level of each region.
        boxes: (M, 4) regions in cells of their level. Only one enlarged to a cell crosses the
            right or lower border.
        size: Side of the pooled map, in cells.
        samples: Samples along each side of a cell.

    Returns:
        (M, 1, size, size).
    """
    offsets = (torch.arange(size * samples, device=boxes.device) + 0.5) / samples
    shares = []
    for axis in (1, 0):  # y, x
        length = torch.zeros_like(levels)
        for level, cells in enumerate(maps):
            length = torch.where(levels == level, cells.shape[3 - axis], length)
        start, stop = boxes[:, axis, None], boxes[:, 2 + axis, None]
        position = start + (stop - start) / size * offsets  # (M, size * samples)
        is_inside = (position <= length[:, None]).to(boxes.dtype)
        shares.append(is_inside.view(-1, size, samples).mean(dim=2))
    y, x = shares
    return (y[:, :, None] * x[:, None, :])[:, None]
