"""Feature pyramid network."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import uniform_convolutions
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "fpn")
class FPN(nn.Module):
    """Brings what coarse levels know to the fine ones; all levels get the same channels.

    Paper: Feature Pyramid Networks for Object Detection (Lin et al., 2017),
    https://arxiv.org/abs/1612.03144
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        out_channels: PositiveInt = 256,
        extra: Literal["none", "pool", "p6p7_on_p5", "p6p7_on_c5"] = "p6p7_on_p5",
        norm: Literal["none", "batch", "group"] = "none",
        min_levels: PositiveInt = 3,
    ) -> None:
        """Build the pyramid.

        Args:
            feature_specs: The levels that come in.
            out_channels: Channels of each level that goes out.
            extra: Coarser levels to add: `pool` one by subsampling, `p6p7_on_p5` two by
                convolutions on the pyramid's coarsest level (FCOS, ATSS), `p6p7_on_c5` on the
                backbone's (the RetinaNet paper).
            norm: Normalisation after each convolution.
            min_levels: Levels that the backbone must give at least.

        Raises:
            UserError: Too few levels come in.
        """
        super().__init__()
        if len(feature_specs) < min_levels:
            strides = ", ".join(str(spec.stride) for spec in feature_specs)
            raise UserError(
                f"neck 'fpn' needs {min_levels} or more feature levels, got {len(feature_specs)} "
                f"from the backbone (strides {strides}): raise model.backbone.levels or lower "
                "model.neck.min_levels."
            )
        self.lateral = nn.ModuleList(
            ConvBlock(spec.channels, out_channels, kernel_size=1, norm=norm, activation="none")
            for spec in feature_specs
        )
        self.output = nn.ModuleList(
            ConvBlock(out_channels, out_channels, norm=norm, activation="none")
            for _ in feature_specs
        )
        self._extra = extra
        if extra in ("p6p7_on_p5", "p6p7_on_c5"):
            source = out_channels if extra == "p6p7_on_p5" else feature_specs[-1].channels
            self.p6 = nn.Conv2d(source, out_channels, 3, stride=2, padding=1)
            self.p7 = nn.Conv2d(out_channels, out_channels, 3, stride=2, padding=1)
        uniform_convolutions(self)
        strides_out = [spec.stride for spec in feature_specs]
        for _ in range({"none": 0, "pool": 1}.get(extra, 2)):
            strides_out.append(2 * strides_out[-1])
        self.feature_specs = [FeatureSpec(out_channels, stride) for stride in strides_out]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, out_channels, H_l, W_l) and the extra ones."""
        merged = [lateral(level) for lateral, level in zip(self.lateral, features, strict=True)]
        for fine in range(len(merged) - 2, -1, -1):
            size = merged[fine].shape[-2:]  # of an odd map, so no fixed factor
            merged[fine] = merged[fine] + F.interpolate(merged[fine + 1], size=size, mode="nearest")
        pyramid = [output(level) for output, level in zip(self.output, merged, strict=True)]
        return pyramid + self._extra_levels(pyramid[-1], features[-1])

    def _extra_levels(self, coarsest: Tensor, coarsest_input: Tensor) -> list[Tensor]:
        if self._extra == "none":
            return []
        if self._extra == "pool":
            return [F.max_pool2d(coarsest, kernel_size=1, stride=2)]
        p6 = self.p6(coarsest if self._extra == "p6p7_on_p5" else coarsest_input)
        return [p6, self.p7(F.relu(p6))]
