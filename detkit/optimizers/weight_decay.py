"""Find the parameters that are exempt from weight decay."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Protocol, runtime_checkable

from torch import nn

# Norm layers whose weights can have more than one dimension.
_NORMS = (nn.LayerNorm, nn.RMSNorm)
# Last names of parameters that papers and their code exempt, for networks that do not state them,
# such as torchvision's: relative position biases (Swin), layer scales (ConvNeXt,
# CaiT), positions and extra tokens (ViT), the temperature of cosine attention (Swin V2).
_EXEMPT_NAMES = {
    *("relative_position_bias_table", "attention_biases", "logit_scale", "temperature"),
    *("layer_scale", "gamma", "gamma_1", "gamma_2", "gamma_3"),
    *("pos_embed", "absolute_pos_embed", "pos_embedding"),
    *("cls_token", "class_token", "dist_token", "reg_token", "mask_token"),
}


@runtime_checkable
class NamesExempt(Protocol):
    """A module whose `no_weight_decay` lists parameters, or patterns, relative to itself.

    timm's models have this method.
    """

    def no_weight_decay(self) -> Collection[str]:
        """Names or patterns of the exempt parameters."""


def undecayed_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters that get no weight decay.

    Biases, parameters of norm layers, all parameters with one dimension or none, those that
    papers exempt by name, and those that a module's `no_weight_decay` lists.
    """
    patterns = list(_listed(model))
    by_name = {
        name
        for name, _ in model.named_parameters()
        if name.rpartition(".")[2] in _EXEMPT_NAMES
        or any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    return by_name | exempt_by_shape(model)


def exempt_by_shape(model: nn.Module) -> set[str]:
    """Names of biases, parameters of norm layers, and those with one dimension or none."""
    by_norms = {
        id(p) for m in model.modules() if isinstance(m, _NORMS) for p in m.parameters(False)
    }
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim <= 1 or name.rpartition(".")[2] == "bias" or id(parameter) in by_norms
    }


def _listed(model: nn.Module) -> Iterator[str]:
    """Names or patterns that modules exempt, relative to the whole model."""
    for path, module in model.named_modules():
        if isinstance(module, NamesExempt):
            for name in module.no_weight_decay():
                yield f"{path}.{name}" if path else name
