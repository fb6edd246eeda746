"""The layers of an anchor-free YOLO: on each level a class tower and a box tower of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.heads.towers import flatten_maps
from detkit.layers import Activation, ConvBlock, Norm
from detkit.structures import DensePredictions, FeatureSpec


class DecoupledLayers(nn.Module):
    """For each level two towers of 3x3 convolutions, each with a last layer of kernel size 1.

    A counts the priors of a cell.
    """

    def __init__(
        self,
        *,
        feature_specs: list[FeatureSpec],
        class_logits: Tensor,
        box_codes: list[Tensor],
        convs: int,
        channels: int,
        norm: Norm,
        activation: Activation,
    ) -> None:
        """Build the layers.

        Args:
            feature_specs: The levels that come in.
            class_logits: (K,) what the class layers answer before they are trained.
            box_codes: For each level (A, D), what the box layer answers before it is trained.
            convs: 3x3 convolutions of each tower.
            channels: Channels of the towers; a 1x1 convolution before them makes these.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
        """
        super().__init__()

        def tower() -> nn.Sequential:
            blocks = (
                ConvBlock(channels, channels, norm=norm, activation=activation)
                for _ in range(convs)
            )
            return nn.Sequential(*blocks)

        self.entries = nn.ModuleList(
            ConvBlock(spec.channels, channels, kernel_size=1, norm=norm, activation=activation)
            for spec in feature_specs
        )
        self.class_towers = nn.ModuleList(tower() for _ in feature_specs)
        self.box_towers = nn.ModuleList(tower() for _ in feature_specs)
        class_biases = [class_logits.repeat(len(codes)) for codes in box_codes]
        self.class_layers = nn.ModuleList(_last_layer(channels, bias) for bias in class_biases)
        self.box_layers = nn.ModuleList(_last_layer(channels, c.flatten()) for c in box_codes)
        self._num_logits, self._code_size = len(class_logits), box_codes[0].shape[1]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        entered = [entry(level) for entry, level in zip(self.entries, features, strict=True)]

        def flat(towers: nn.ModuleList, layers: nn.ModuleList, values: int) -> Tensor:
            parts = zip(towers, layers, entered, strict=True)
            maps = [flatten_maps(layer(tower(level)), values) for tower, layer, level in parts]
            return torch.cat(maps, dim=1)

        return DensePredictions(
            class_logits=flat(self.class_towers, self.class_layers, self._num_logits),
            box_codes=flat(self.box_towers, self.box_layers, self._code_size),
            quality=None,
        )


def _last_layer(channels: int, answers: Tensor) -> nn.Conv2d:
    """A layer that starts by answering this, whatever it sees."""
    layer = nn.Conv2d(channels, len(answers), 1)
    nn.init.normal_(layer.weight, std=0.01)
    with torch.no_grad():
        layer.bias.copy_(answers)  # type: ignore[union-attr]
    return layer
