"""VGG-16 for SSD."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VGG16_BN_Weights, VGG16_Weights
from torchvision.models.vgg import cfgs, make_layers

from detkit.backbones.weights import (
    find_weights,
    is_without_memory,
    load_weights,
    require_levels,
)
from detkit.layers import make_norm, uniform_convolutions
from detkit.registry import PositiveFloat, Wired, register
from detkit.structures import FeatureSpec

_SIXTEEN_LAYERS = cfgs["D"]
_CHANNELS, _FC_CHANNELS = 512, 1024
_LEVEL_CHANNELS = {2: 256, 3: _CHANNELS, 4: _FC_CHANNELS}
_FC_SIDE = 7  # side of the map before VGG's fully connected layer, in cells
_NO_NORM, _BATCH_NORM = VGG16_Weights.IMAGENET1K_V1, VGG16_BN_Weights.IMAGENET1K_V1


@register("backbone", "vgg16_ssd")
class VGG16ForSSD(nn.Module):
    """VGG-16 with its fully connected layers as convolutions, and levels of strides 8 and 16.

    The first level is conv4_3, each cell scaled to a learnt length; the second is fc7. A finer
    level, conv3_3, is for necks that need three.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 3,
        https://arxiv.org/abs/1512.02325
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        norm: Literal["none", "batch"] = "none",
        frozen_stages: Annotated[int, Interval(ge=0, le=5)] = 0,
        first_scale: PositiveFloat = 20.0,
        levels: tuple[Literal[2, 3, 4], ...] = (3, 4),
    ) -> None:
        """Build, load and freeze.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for torchvision's published VGG-16, a checkpoint file, or null. The
                fully connected layers initialise fc6 and fc7, subsampled to every third row and
                column and every fourth channel.
            norm: Normalisation after each convolution; `none`, as in the paper, needs pretrained
                weights, `batch` trains from scratch.
            frozen_stages: Number of frozen convolution blocks, from the input.
            first_scale: Initial length of each cell of conv4_3.
            levels: Output levels, fine to coarse: [3, 4] or [2, 3, 4]; level l has stride 2**l.

        Raises:
            UserError: A level does not exist, or the weights cannot be loaded or do not fit.
        """
        super().__init__()
        require_levels("vgg16_ssd", levels, [(3, 4), (2, 3, 4)])
        layers = list(make_layers(_SIXTEEN_LAYERS, batch_norm=norm == "batch"))
        pools = [at for at, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        layers[pools[2]].ceil_mode = True  # 75 cells to 38, as the paper's priors expect
        self.features = nn.Sequential(*layers[: pools[4]])  # names are torchvision's
        self._cuts = [pools[level] for level in levels[:-1]]  # before the pooling that follows
        self.scale = nn.Parameter(torch.full((_CHANNELS,), float(first_scale)))
        has_bias = norm == "none"
        self.fc6 = nn.Conv2d(_CHANNELS, _FC_CHANNELS, 3, padding=6, dilation=6, bias=has_bias)
        self.norm6 = make_norm(norm, _FC_CHANNELS)
        self.fc7 = nn.Conv2d(_FC_CHANNELS, _FC_CHANNELS, 1, bias=has_bias)
        self.norm7 = make_norm(norm, _FC_CHANNELS)
        self.feature_specs = [FeatureSpec(_LEVEL_CHANNELS[level], 2**level) for level in levels]
        self._initialise()
        if fetch_weights and weights is not None and not is_without_memory(self):
            published = _BATCH_NORM if norm == "batch" else _NO_NORM
            self._load(find_weights(weights, published), weights)
        self._frozen = [str(at) for at in range(pools[frozen_stages - 1] if frozen_stages else 0)]
        for at in self._frozen:
            self.features.get_submodule(at).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> VGG16ForSSD:
        """Set the mode; batch norms of frozen stages stay in evaluation mode."""
        super().train(mode)
        for at in self._frozen:
            self.features.get_submodule(at).eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level."""
        maps, features, start = [], images, 0
        for cut in self._cuts:
            features, start = self.features[start:cut](features), cut
            maps.append(features)
        maps[-1] = self.scale.view(1, -1, 1, 1) * F.normalize(features)
        features = self.features[start:](features)
        features = F.max_pool2d(features, kernel_size=3, stride=1, padding=1)
        features = F.relu(self.norm6(self.fc6(features)))
        return [*maps, F.relu(self.norm7(self.fc7(features)))]

    def _initialise(self) -> None:
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        uniform_convolutions(self.fc6)
        uniform_convolutions(self.fc7)

    def _load(self, weights: dict[str, Tensor], source: str) -> None:
        """Load VGG-16's weights, which lack SSD's layers, or weights of this class."""
        added = {n: v for n, v in self.state_dict().items() if not n.startswith("features.")}
        load_weights(self, {**added, **_fully_connected(weights), **weights}, source)


def _fully_connected(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """fc6 and fc7 from VGG's fully connected layers (section 3); empty if it has none."""
    if "classifier.0.weight" not in weights or weights["classifier.0.weight"].isnan().any():
        return {}
    fc6 = weights["classifier.0.weight"].reshape(-1, _CHANNELS, _FC_SIDE, _FC_SIDE)
    fc7 = weights["classifier.3.weight"][:, :, None, None]
    step = fc6.shape[0] // _FC_CHANNELS
    return {
        "fc6.weight": fc6[::step, :, ::3, ::3],
        "fc6.bias": weights["classifier.0.bias"][::step],
        "fc7.weight": fc7[::step, ::step],
        "fc7.bias": weights["classifier.3.bias"][::step],
    }
