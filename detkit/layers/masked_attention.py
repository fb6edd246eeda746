"""The attention module of Residual Attention Networks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers.bottleneck import PreactivatedBottleneck
from detkit.layers.norm import Norm, make_norm


class MaskedAttention(nn.Module):
    """Two residual blocks whose output a mask in 0..1 strengthens: (1 + mask) * trunk.

    The mask branch sees a wider context: it pools the map several times and returns to its size,
    with a skip connection at each size. Equation 3 of the paper, with one residual block between
    poolings (r = 1), two in the trunk (t = 2), and one before and after (p = 1).

    Paper: Residual Attention Network for Image Classification (Wang et al., 2017),
        https://arxiv.org/abs/1704.06904
    """

    def __init__(self, channels: int, *, poolings: int, norm: Norm) -> None:
        """Build the module.

        Args:
            channels: Input and output channels.
            poolings: How often the mask branch halves the map, 1 or more.
            norm: Normalisation before each convolution.
        """
        super().__init__()

        def block() -> nn.Module:
            return PreactivatedBottleneck(channels, channels, norm=norm)

        self.before, self.after = block(), block()
        self.trunk = nn.Sequential(block(), block())
        self.down = nn.ModuleList(block() for _ in range(poolings))
        self.skips = nn.ModuleList(block() for _ in range(poolings - 1))
        self.up = nn.ModuleList(block() for _ in range(poolings))
        self.mask = nn.Sequential(
            make_norm(norm, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            make_norm(norm, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        features = self.before(features)
        trunk = self.trunk(features)
        strengthened: Tensor = self.after((1 + self._mask(features)) * trunk)
        return strengthened

    def _mask(self, features: Tensor) -> Tensor:
        """(B, C, H, W) features to a mask in 0..1 of the same shape."""
        sizes, maps = [], []
        for down in self.down:
            sizes.append(features.shape[-2:])  # rounded up by poolings, so not always doubled
            features = down(F.max_pool2d(features, 3, 2, 1))
            maps.append(features)
        for index in reversed(range(len(self.up))):
            features = self.up[index](features)
            features = F.interpolate(features, sizes[index], mode="bilinear")
            if index:
                features = features + self.skips[index - 1](maps[index - 1])
        mask: Tensor = self.mask(features)
        return mask
