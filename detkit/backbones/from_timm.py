"""Networks of timm."""

from __future__ import annotations

from functools import partial

import timm
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct, freeze_batch_norm_2d
from torch import nn

from detkit.backbones.from_torchvision import replace_batch_norms
from detkit.backbones.recipe import BatchNorms, Recipe
from detkit.layers.norm import count_groups
from detkit.structures.published_weights import PublishedWeights


def from_timm(
    model: str,
    *layers: str,
    padded: dict[str, int] | None = None,
    half_centred: bool = False,
) -> Recipe:
    """The recipe of a timm model, named with its weights' tag."""
    return Recipe(
        model=model,
        build=partial(_build, model),
        published=partial(published_by_timm, model),
        layers=layers,
        replace_norms=_replace_norms,
        padded=tuple((padded or {}).items()),
        half_centred=half_centred,
    )


def published_by_timm(model: str) -> PublishedWeights | None:
    """The file of timm's weights; None if timm publishes none."""
    settings = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if settings is None or not (settings.hf_hub_id or settings.url):
        return None
    source = str(settings.url)
    if settings.hf_hub_id:
        source = f"hf://{settings.hf_hub_id}/{settings.hf_hub_filename or 'model.safetensors'}"
    return PublishedWeights(source, settings.license or "not stated by timm")


def _build(model: str, pretrained: bool) -> nn.Module:
    whole: nn.Module = timm.create_model(model, pretrained=pretrained)
    return whole


def _replace_norms(module: nn.Module, norm: BatchNorms) -> None:
    """Replace norms as for torchvision's networks, and keep the activations inside timm's norms."""
    if norm == "frozen_batch":
        freeze_batch_norm_2d(module)  # type: ignore[no-untyped-call]
    if norm != "group":
        return
    replace_batch_norms(module, norm)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BatchNormAct2d):
                group = GroupNormAct(child.num_features, count_groups(child.num_features))
                group.weight, group.bias = child.weight, child.bias
                group.drop, group.act = child.drop, child.act
                setattr(parent, name, group)
