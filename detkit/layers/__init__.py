"""What networks are made of."""

from detkit.layers.conv import Activation, ConvBlock
from detkit.layers.initialisation import (
    Probability,
    normal_convolutions,
    prior_logits,
    uniform_convolutions,
)
from detkit.layers.norm import Norm, make_norm

__all__ = [
    "Activation",
    "ConvBlock",
    "Norm",
    "Probability",
    "make_norm",
    "normal_convolutions",
    "prior_logits",
    "uniform_convolutions",
]
