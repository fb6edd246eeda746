"""Priors on the cells of feature maps, cached by map sizes and device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from detkit.structures import FeatureSpec, Priors

_CACHE_SIZE = 16  # multi-scale training uses a handful of sizes


class PriorGrid:
    """The same boxes on every cell of a level.

    Attributes:
        per_cell: Priors in a cell, for each level.
    """

    def __init__(self, *, cells: list[Tensor], specs: list[FeatureSpec], offset: float) -> None:
        """Take the boxes of a cell.

        Args:
            cells: For each level (A, 4), the boxes of a cell, centred on (0, 0).
            specs: The levels.
            offset: Position of a prior's centre in its cell, in strides.
        """
        self.per_cell = [len(boxes) for boxes in cells]
        self._cells = cells
        self._strides = [spec.stride for spec in specs]
        self._offset = offset
        self._cache: OrderedDict[tuple[object, ...], Priors] = OrderedDict()

    def __call__(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> Priors:
        """The priors of all levels for maps of these sizes (height, width)."""
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            return self._make(sizes, device)  # the sizes may be symbols of the graph
        key = (tuple(map(tuple, sizes)), device)
        if key not in self._cache:
            # Outside inference mode, so that training can use priors cached by validation.
            with torch.inference_mode(False), torch.no_grad():
                self._cache[key] = self._make(sizes, device)
            if len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def _steps(self, sizes: Sequence[tuple[int, int]]) -> Sequence[tuple[float, float]]:
        """Distance between rows and between columns of each level, in pixels."""
        return [(stride, stride) for stride in self._strides]

    def _make(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> Priors:
        boxes, strides, levels = [], [], []
        for level, (size, step, cell) in enumerate(
            zip(sizes, self._steps(sizes), self._cells, strict=True)
        ):
            rows, columns = (
                torch.arange(n, dtype=torch.float32, device=cell.device) + self._offset
                for n in size
            )
            y, x = torch.meshgrid(rows * step[0], columns * step[1], indexing="ij")
            shifts = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
            boxes.append((shifts + cell).reshape(-1, 4))
            count = boxes[-1].shape[0]
            strides.append(cell.new_full((count,), sum(step) / 2))
            levels.append(torch.full((count,), level, device=cell.device))
        return Priors(
            boxes=torch.cat(boxes).to(device),
            stride=torch.cat(strides).to(device),
            level=torch.cat(levels).to(device),
            level_sizes=tuple(level_boxes.shape[0] for level_boxes in boxes),
        )
