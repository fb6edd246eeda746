"""The default boxes of SSD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, MinLen
from torch import Tensor

from detkit.errors import UserError
from detkit.priors.grid import PriorGrid
from detkit.registry import PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec

Ratios = tuple[Annotated[float, Gt(1)], ...]
_FEW, _MANY = (2.0,), (2.0, 3.0)


@register("priors", "ssd_boxes")
class SSDBoxes(PriorGrid):
    """SSD's default boxes: one scale per level, as a fraction of the image.

    Each cell has a square of the level's scale, a square between this and the next level's scale
    (their geometric mean), and a wide and a tall box for each aspect ratio.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 2.2,
        https://arxiv.org/abs/1512.02325

    Args:
        image_size: Height and width of the images that scales refer to; an augmentation with
            `resize_exact` resizes all images to it.
        smallest: Scale of the finest level, as a fraction of the image; not used with `scales`.
        largest: Scale of the coarsest level; levels in between are spaced evenly.
        scales: The scale of each level, and one more for the last level's larger square.
        aspect_ratios: Ratios of the long to the short side for each level; null takes 2 on the
            finest and the two coarsest levels, 2 and 3 on all others, as in the paper.
        steps: Distance between cells of each level in pixels; null spreads the cells evenly over
            the image, whatever its size.
        clip: Whether to limit sides to the image's.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        image_size: tuple[PositiveInt, PositiveInt] = (300, 300),
        smallest: PositiveFloat = 0.2,
        largest: PositiveFloat = 0.9,
        scales: tuple[PositiveFloat, ...] | None = None,
        aspect_ratios: Annotated[tuple[Ratios, ...], MinLen(1)] | None = None,
        steps: tuple[PositiveFloat, ...] | None = None,
        clip: bool = True,
    ) -> None:
        levels = len(feature_specs)
        ratios = _usual_ratios(levels) if aspect_ratios is None else aspect_ratios
        sides = _even_scales(smallest, largest, levels) if scales is None else scales
        _require_count("scales", sides, levels, 1)
        _require_count("aspect_ratios", ratios, levels)
        if steps is not None:
            _require_count("steps", steps, levels)
            _require_first_step(steps[0], feature_specs[0].stride)
        cells = [
            _boxes(sides[level], sides[level + 1], ratios[level], image_size, clip)
            for level in range(levels)
        ]
        super().__init__(cells=cells, specs=feature_specs, offset=0.5)
        self._image_size = image_size
        self._given_steps = steps
        self._first_step = steps[0] if steps else float(feature_specs[0].stride)

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """The height and width that images must have, for which the steps were chosen."""
        return None if self._given_steps is None else self._image_size

    def _steps(self, sizes: Sequence[tuple[int, int]]) -> Sequence[tuple[float, float]]:
        """The configured steps, checked against these maps, or even ones."""
        height, width = (
            self._extent(side, cells)
            for side, cells in zip(self._image_size, sizes[0], strict=True)
        )
        if self._given_steps is None:
            return [(height / rows, width / columns) for rows, columns in sizes]
        for level, (size, step) in enumerate(zip(sizes, self._given_steps, strict=True)):
            if tuple(size) != (math.ceil(height / step), math.ceil(width / step)):
                raise UserError(
                    f"priors 'ssd_boxes': a step of {step:g} pixels does not fit level {level + 1} "
                    f"with {size[0]} x {size[1]} cells in images of {height:g} x {width:g}: resize "
                    "images to {} x {} (`resize_exact` in the augmentation), or set "
                    "model.head.priors.steps to null.".format(*self._image_size)
                )
        return [(step, step) for step in self._given_steps]

    def _extent(self, image_side: int, cells: int) -> float:
        """The side of the images, estimated from the finest map."""
        expected = math.ceil(image_side / self._first_step)
        return float(image_side) if cells == expected else cells * self._first_step


def _usual_ratios(levels: int) -> list[Ratios]:
    return [_FEW if level in (0, levels - 2, levels - 1) else _MANY for level in range(levels)]


def _even_scales(smallest: float, largest: float, levels: int) -> list[float]:
    """The scale of each level, and the whole image as the scale after the last."""
    if levels == 1:
        return [smallest, largest]
    gap = (largest - smallest) / (levels - 1)
    return [*(smallest + gap * level for level in range(levels)), 1.0]


def _boxes(
    scale: float, next_scale: float, ratios: Ratios, image_size: tuple[int, int], clip: bool
) -> Tensor:
    """(A, 4) the boxes of a cell, centred on (0, 0)."""
    between = math.sqrt(scale * next_scale)
    sides = [(scale, scale), (between, between)]  # width, height
    for ratio in ratios:
        long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
        sides += [(long, short), (short, long)]
    parts = torch.tensor(sides)
    parts = parts.clamp(max=1) if clip else parts
    corner = parts * torch.tensor([image_size[1], image_size[0]]) / 2
    return torch.cat([-corner, corner], dim=1)


def _require_count(key: str, values: Sequence[object], levels: int, more: int = 0) -> None:
    if len(values) == levels + more:
        return
    expected = f"{levels + more} (one for each level{', and one more' if more else ''})"
    raise UserError(
        f"priors 'ssd_boxes': `{key}` has {len(values)} entries, but the neck gives {levels} "
        f"levels, which need {expected}: change `{key}`, set it to null, or change the number of "
        "levels (model.neck.levels)."
    )


def _require_first_step(step: float, stride: int) -> None:
    if step != stride:
        raise UserError(
            f"priors 'ssd_boxes': `steps` begin with {step:g}, but the finest level has stride "
            f"{stride}: start with the level of stride {step:g} (model.backbone.levels), or set "
            "`steps` to null."
        )
