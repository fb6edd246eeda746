"""Layers and blocks shared by backbones, necks and heads."""

from detkit.layers.bottleneck import Bottleneck, PreactivatedBottleneck
from detkit.layers.conv import Activation, ConvBlock, make_activation
from detkit.layers.csp import STAGES, CSPStage, Residual, SplitStage, StageKind
from detkit.layers.initialisation import (
    Probability,
    normal_convolutions,
    prior_logits,
    uniform_convolutions,
)
from detkit.layers.masked_attention import MaskedAttention
from detkit.layers.norm import Norm, make_norm, set_batch_norms
from detkit.layers.partial_attention import PartialAttention
from detkit.layers.pyramid_pooling import ParallelPooling, SerialPooling

__all__ = [
    "STAGES",
    "Activation",
    "Bottleneck",
    "CSPStage",
    "ConvBlock",
    "MaskedAttention",
    "Norm",
    "ParallelPooling",
    "PartialAttention",
    "PreactivatedBottleneck",
    "Probability",
    "Residual",
    "SerialPooling",
    "SplitStage",
    "StageKind",
    "make_activation",
    "make_norm",
    "normal_convolutions",
    "prior_logits",
    "set_batch_norms",
    "uniform_convolutions",
]
