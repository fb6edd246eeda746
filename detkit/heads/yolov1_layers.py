"""Fully connected layers of the first YOLO."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers import Activation, make_activation
from detkit.layers.local import LocalConv
from detkit.ops import ClassActivation, logits_for
from detkit.registry import Fraction, NonNegativeInt, PositiveInt, Wired, register
from detkit.structures import DensePredictions, FeatureSpec

_MOST_WEIGHTS = 2**30  # 4 GiB


@register("layers", "yolov1")
class YOLOv1Layers(nn.Module):
    """Per level: fully connected layers that predict all cells at once; the paper has one level.

    Each output depends on the whole map, so the map has a fixed size. Maps of smaller images are
    padded with zeros at the right and at the bottom, and lose the predictions there. All outputs
    are linear. The boxes of a cell share its class outputs.

    By default the layers are those of Darknet's yolov1.cfg, for which weights were published: a
    convolution with its own weights at each cell, then one fully connected layer. The paper has two
    fully connected layers, the first with 4096 units: `local_channels=0 hidden=4096`.

    Paper: You Only Look Once (Redmon et al., 2016), section 2.1, https://arxiv.org/abs/1506.02640

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        per_cell: A, the priors per cell, for each level.
        code_size: D of the box coder.
        class_activation: Activation of the classification loss; a softmax also has background.
        with_quality: Whether to predict a quality output, the objectness.
        image_size: Height and width of the largest images; an `image_size` of the whole
            configuration sets both.
        local_channels: Output channels of the convolution with its own weights at each cell; 0 has
            none.
        hidden: Units of a fully connected layer before the output layers; 0 has none.
        dropout: Probability of dropping an input of the output layers in training.
        activation: Function after the convolution and after the hidden layer.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        per_cell: Wired[list[int]],
        code_size: Wired[int],
        class_activation: Wired[ClassActivation],
        with_quality: Wired[bool] = True,
        image_size: tuple[PositiveInt, PositiveInt] = (448, 448),
        local_channels: NonNegativeInt = 256,
        hidden: NonNegativeInt = 0,
        dropout: Fraction = 0.5,
        activation: Activation = "leaky_relu",
    ) -> None:
        super().__init__()
        self.fixed_size = image_size  # for export
        logits = logits_for(num_classes, class_activation)
        self.grids = nn.ModuleList()
        self._sizes: list[tuple[int, int]] = []
        for spec, priors in zip(feature_specs, per_cell, strict=True):
            rows, columns = (math.ceil(side / spec.stride) for side in image_size)
            width, steps = spec.channels, list[nn.Module]()
            values = (logits, priors * code_size, priors if with_quality else 0)
            cells, inputs = rows * columns, rows * columns * (local_channels or width)
            _require_small(cells * width * local_channels * 9, (rows, columns))
            outputs = (hidden or inputs) * cells * max(values)
            _require_small(max(inputs * hidden, outputs), (rows, columns))
            if local_channels:
                steps.append(LocalConv(width, local_channels, (rows, columns)))
                steps.append(make_activation(activation))
            steps.append(nn.Flatten())
            width = inputs
            if hidden:
                steps += [nn.Linear(width, hidden), make_activation(activation)]
                width = hidden
            shared = nn.Sequential(*steps, nn.Dropout(dropout))
            self.grids.append(_Grid(shared, width, (rows, columns), values))
            self._sizes.append((rows, columns))
        self._priors = per_cell

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        logits, codes, quality = [], [], []
        levels = zip(self.grids, features, self._sizes, self._priors, strict=True)
        for grid, level, size, priors in levels:
            rows, columns = level.shape[-2:]
            if rows > size[0] or columns > size[1]:
                raise UserError(self._too_large(level, size))
            cell_classes, cell_codes, cell_quality = grid(level)  # (B, H * W, values)
            logits.append(cell_classes[:, :, None].expand(-1, -1, priors, -1).flatten(1, 2))
            codes.append(cell_codes.unflatten(2, (priors, -1)).flatten(1, 2))
            if cell_quality is not None:
                quality.append(cell_quality.flatten(1))
        return DensePredictions(
            torch.cat(logits, dim=1),
            torch.cat(codes, dim=1),
            torch.cat(quality, dim=1) if quality else None,
        )

    def _too_large(self, level: Tensor, size: tuple[int, int]) -> str:
        height, width = self.fixed_size
        return (
            f"layers 'yolov1' are built for images of up to {height} x {width} pixels, with a map "
            f"of {size[0]} x {size[1]} cells, but got one of {level.shape[-2]} x "
            f"{level.shape[-1]}: set image_size=[{height},{width}], which resizes images, or "
            "another image_size, for which the layers are then built."
        )


def _require_small(weights: int, cells: tuple[int, int]) -> None:
    if weights > _MOST_WEIGHTS:
        raise UserError(
            f"layers 'yolov1' would have a layer of {weights / 1e9:.1f} billion weights on a map "
            f"of {cells[0]} x {cells[1]} cells: type model/neck=yolov1, which makes a single map "
            "with few cells, or lower image_size."
        )


class _Grid(nn.Module):
    """The outputs of all cells of one level: values for the class, box and quality outputs."""

    def __init__(
        self, shared: nn.Module, width: int, size: tuple[int, int], values: tuple[int, int, int]
    ) -> None:
        super().__init__()
        cells = size[0] * size[1]
        self.size = size
        self.shared = shared
        self.class_layer = nn.Linear(width, cells * values[0])
        self.box_layer = nn.Linear(width, cells * values[1])
        self.quality_layer = nn.Linear(width, cells * values[2]) if values[2] else None

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, C, h, w), at most of the grid's size, to values (B, h * w, ...) of its cells."""
        rows, columns = level.shape[-2:]
        missing = (0, self.size[1] - columns, 0, self.size[0] - rows)
        shared = self.shared(F.pad(level, missing))

        def by_cell(outputs: Tensor) -> Tensor:
            cells = outputs.view(outputs.shape[0], *self.size, -1)
            return cells[:, :rows, :columns].flatten(1, 2)

        quality = None if self.quality_layer is None else by_cell(self.quality_layer(shared))
        return by_cell(self.class_layer(shared)), by_cell(self.box_layer(shared)), quality
