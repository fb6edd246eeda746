"""VGG-16 with convolutions instead of its fully connected layers, for detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VGG16_BN_Weights, VGG16_Weights, WeightsEnum
from torchvision.models.vgg import cfgs, make_layers

from detkit.backbones.weights import (
    find_weights,
    is_without_memory,
    load_weights,
    published_by_torchvision,
)
from detkit.layers import make_norm, uniform_convolutions
from detkit.structures.published_weights import PublishedWeights

_SIXTEEN_LAYERS = cfgs["D"]
CHANNELS, FC_CHANNELS = 512, 1024  # of conv4_3 and conv5_3, and of fc6 and fc7
_FC_SIDE = 7  # side of the map before VGG's fully connected layer, in cells
_NO_NORM, _BATCH_NORM = VGG16_Weights.IMAGENET1K_V1, VGG16_BN_Weights.IMAGENET1K_V1
VGGNorm = Literal["none", "batch"]


class ConvolutionalVGG16(nn.Module):
    """The convolutions of VGG-16, a last pooling, and fc6 and fc7 as convolutions.

    Attributes:
        pools: Positions of the poolings among `features`; the last one is its length.
    """

    def __init__(
        self, *, norm: VGGNorm, frozen_stages: int, last_pool: nn.Module, dilation: int
    ) -> None:
        """Build the layers.

        Args:
            norm: Normalisation after each convolution.
            frozen_stages: Number of frozen convolution blocks, from the input.
            last_pool: The pooling before fc6.
            dilation: Distance between the cells that fc6 reads.
        """
        super().__init__()
        layers = list(make_layers(_SIXTEEN_LAYERS, batch_norm=norm == "batch"))
        self.pools = [at for at, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        layers[self.pools[2]].ceil_mode = True  # 75 cells to 38, as the paper's priors expect
        self.features = nn.Sequential(*layers[: self.pools[4]])  # names are torchvision's
        self.last_pool = last_pool
        has_bias = norm == "none"
        self.fc6 = nn.Conv2d(
            CHANNELS, FC_CHANNELS, 3, padding=dilation, dilation=dilation, bias=has_bias
        )
        self.norm6 = make_norm(norm, FC_CHANNELS)
        self.fc7 = nn.Conv2d(FC_CHANNELS, FC_CHANNELS, 1, bias=has_bias)
        self.norm7 = make_norm(norm, FC_CHANNELS)
        self._published = _published(norm)
        frozen = self.pools[frozen_stages - 1] if frozen_stages else 0
        self._frozen = [str(at) for at in range(frozen)]
        self._initialise()

    @staticmethod
    def published_weights(arguments: Mapping[str, Any]) -> PublishedWeights:
        """Torchvision's weights, which `weights=imagenet` loads."""
        return published_by_torchvision(_published(arguments["norm"]))

    def finish(self, weights: str | None, fetch_weights: bool) -> None:
        """Load weights, if any, and freeze; for subclasses, after all parameters exist.

        Raises:
            UserError: The weights cannot be loaded or do not fit.
        """
        if fetch_weights and weights is not None and not is_without_memory(self):
            self._load(find_weights(weights, self._published), weights)
        for at in self._frozen:
            self.features.get_submodule(at).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> ConvolutionalVGG16:
        """Set the mode; batch norms of frozen stages stay in evaluation mode."""
        super().train(mode)
        for at in self._frozen:
            self.features.get_submodule(at).eval()
        return self

    def maps_before(self, cuts: list[int], images: Tensor) -> list[Tensor]:
        """The maps before the layers of `features` at these positions, and after the last layer."""
        maps, features, start = [], images, 0
        for cut in [*cuts, self.pools[4]]:
            features, start = self.features[start:cut](features), cut
            maps.append(features)
        return maps

    def fully_connected(self, features: Tensor) -> Tensor:
        """The output of conv5_3 to that of fc7."""
        features = F.relu(self.norm6(self.fc6(self.last_pool(features))))
        return F.relu(self.norm7(self.fc7(features)))

    def _initialise(self) -> None:
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        uniform_convolutions(self.fc6)
        uniform_convolutions(self.fc7)

    def _load(self, weights: dict[str, Tensor], source: str) -> None:
        """Load VGG-16's weights, which lack the other layers, or weights of this class."""
        added = {n: v for n, v in self.state_dict().items() if not n.startswith("features.")}
        load_weights(self, {**added, **_fully_connected(weights), **weights}, source)


def _published(norm: str) -> WeightsEnum:
    return _NO_NORM if norm == "none" else _BATCH_NORM


def length_scale(length: float) -> nn.Parameter:
    """Initial lengths of the cells of a map with `CHANNELS` channels, for `scaled`."""
    return nn.Parameter(torch.full((CHANNELS,), float(length)))


def scaled(features: Tensor, scale: Tensor) -> Tensor:
    """Each cell of a map (B, C, H, W) with length 1, times a scale (C,)."""
    return scale.view(1, -1, 1, 1) * F.normalize(features)


def _fully_connected(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """fc6 and fc7 from VGG's fully connected layers (SSD, section 3); empty if it has none."""
    if "classifier.0.weight" not in weights or weights["classifier.0.weight"].isnan().any():
        return {}
    fc6 = weights["classifier.0.weight"].reshape(-1, CHANNELS, _FC_SIDE, _FC_SIDE)
    fc7 = weights["classifier.3.weight"][:, :, None, None]
    step = fc6.shape[0] // FC_CHANNELS
    return {
        "fc6.weight": fc6[::step, :, ::3, ::3],
        "fc6.bias": weights["classifier.0.bias"][::step],
        "fc7.weight": fc7[::step, ::step],
        "fc7.bias": weights["classifier.3.bias"][::step],
    }
