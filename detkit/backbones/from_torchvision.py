"""Networks of torchvision."""

from __future__ import annotations

from functools import partial

from torch import nn
from torchvision import models

from detkit.backbones.recipe import BatchNorms, Recipe
from detkit.backbones.weights import published_by_torchvision
from detkit.layers.norm import make_norm
from detkit.ops.frozen_batch_norm import FrozenBatchNorm
from detkit.structures.published_weights import PublishedWeights

_PUBLISHED = "IMAGENET1K_V1"  # as in torchvision's detectors; not all models have V2 weights


def from_torchvision(
    model: str,
    *layers: str,
    padded: dict[str, int] | None = None,
    half_centred: bool = False,
    channels_last: bool = False,
    **options: bool,
) -> Recipe:
    """The recipe of a torchvision classifier; `options` go to its builder."""
    return Recipe(
        model=model,
        build=partial(_build, model, options),
        published=partial(_published, model),
        layers=layers,
        replace_norms=replace_batch_norms,
        padded=tuple((padded or {}).items()),
        half_centred=half_centred,
        channels_last=channels_last,
    )


def _build(model: str, options: dict[str, bool], pretrained: bool) -> nn.Module:
    whole: nn.Module
    if pretrained:  # some builders then set their own options
        published = models.get_model_weights(model)[_PUBLISHED]
        whole = models.get_model(model, weights=published, progress=False)
    else:
        whole = models.get_model(model, weights=None, **options)
    return whole


def _published(model: str) -> PublishedWeights:
    return published_by_torchvision(models.get_model_weights(model)[_PUBLISHED])


def replace_batch_norms(module: nn.Module, norm: BatchNorms) -> None:
    """Replace each batch norm in a module by another norm; names and weights stay."""
    if norm == "batch":
        return
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _replacement(child, norm))


def _replacement(batch_norm: nn.BatchNorm2d, norm: BatchNorms) -> nn.Module:
    replacement = make_norm(norm, batch_norm.num_features)
    if isinstance(replacement, FrozenBatchNorm):
        replacement.eps = batch_norm.eps
        weights = batch_norm.state_dict()
        replacement.load_state_dict({name: weights[name] for name in replacement.state_dict()})
    elif isinstance(replacement, nn.GroupNorm):
        replacement.weight, replacement.bias = batch_norm.weight, batch_norm.bias
    return replacement
