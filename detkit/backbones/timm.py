"""Any timm model with feature maps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any

import timm
import torch
from annotated_types import Interval
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.backbones.from_timm import published_by_timm
from detkit.backbones.timm_blocks import flat_name, timm_blocks
from detkit.backbones.used_parameters import Unused, drop, find_unused, first_maps, takes_any_size
from detkit.backbones.weights import (
    is_without_memory,
    load_weights,
    read_weights,
)
from detkit.errors import UserError, did_you_mean
from detkit.ops.network_blocks import NetworkBlock
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec
from detkit.structures.published_weights import PublishedWeights

_USUAL_SIDE = 224
# Transformers accept images of any size only with these options: padding to whole patches (ViT),
# or maps padded to whole windows (Swin).
_ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"dynamic_img_size": True},
)
_NAME = re.compile(r"[\w.-]+")


@register("backbone", "timm")
class TimmBackbone(nn.Module):
    """Any timm model with feature maps, by its timm name.

    Plain transformers give one map: see `simple_pyramid`. Images for patches of 14 pixels (DINOv2)
    are resized to 14/16 inside, so that a patch covers 16 pixels of the image.
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        model: str,
        pretrained: bool = False,
        checkpoint: str | None = None,
        frozen_stages: Annotated[int, Interval(ge=0, le=6)] = 0,
        levels: tuple[PositiveInt, ...] = (3, 4, 5),
    ) -> None:
        """Build the model and load its weights.

        Args:
            fetch_weights: Whether to load weights; false if a checkpoint is loaded instead.
            model: timm's name, such as `convnext_tiny` or `swin_tiny_patch4_window7_224`.
            pretrained: Whether to fetch timm's published weights.
            checkpoint: A local file with weights of this model (.safetensors or .pth) instead.
            frozen_stages: Number of frozen stages, from the input: 1 freezes the layers up to
                stride 2, 2 up to stride 4, ...
            levels: Output levels, fine to coarse; level l has stride 2**l.

        Raises:
            UserError: The model or a level does not exist, there is nothing to freeze, or the
                weights cannot be loaded or do not fit.
        """
        super().__init__()
        if pretrained and checkpoint is not None:
            raise UserError(
                f"`pretrained` is true and `checkpoint` is '{checkpoint}': choose one of them."
            )
        self._name = model
        whole, side = _described(model)
        info = whole.feature_info
        available = dict(zip(info.out_indices, info.reduction(), strict=True))
        indices = _indices_of_levels(model, available, levels)
        fetch = fetch_weights and pretrained and torch.get_default_device().type != "meta"
        self.model = _create_pretrained(model, indices) if fetch else _create(model, indices)
        if fetch_weights and checkpoint is not None and not is_without_memory(self):
            load_weights(self.model, read_weights(checkpoint), checkpoint, flat_name)
        drop(self.model, _unused(model, indices, side))
        self._freeze(whole, list(available.values()), frozen_stages, side)
        self._describe_maps()
        layout = getattr(self.model, "output_fmt", None)  # models without it give (B, C, H, W)
        self._channels_last = str(layout or "NCHW").endswith("NHWC")

    def _describe_maps(self) -> None:
        info = self.model.feature_info
        strides = [2 ** round(math.log2(reduction)) for reduction in info.reduction()]
        self.feature_specs = [
            FeatureSpec(channels, stride)
            for channels, stride in zip(info.channels(), strides, strict=True)
        ]
        # Pixels of a patch, and the stride of its map; they differ for patches of 14 pixels.
        self._patch, self._stride = info.reduction()[-1], strides[-1]

    @staticmethod
    def pixel_statistics(
        arguments: Mapping[str, Any],
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation, in 0..255, with which timm trained this model.

        They apply without pretrained weights too, which may still come from a file.
        """
        model = str(arguments["model"])
        published = timm.get_pretrained_cfg(model) if _NAME.fullmatch(model) else None
        if published is None:
            return _in_levels(IMAGENET_DEFAULT_MEAN), _in_levels(IMAGENET_DEFAULT_STD)
        return _in_levels(published.mean), _in_levels(published.std)

    @staticmethod
    def published_weights(arguments: Mapping[str, Any]) -> PublishedWeights | None:
        """Timm's weights of the model, which `weights=imagenet` loads."""
        return published_by_timm(str(arguments["model"]))

    def _freeze(self, whole: nn.Module, strides: list[int], frozen_stages: int, side: int) -> None:
        """Freeze the parameters that lead to maps up to a stride; `whole` is on the meta device."""
        map_indices = first_maps(whole, side) if frozen_stages else {}
        frozen = {name for name, index in map_indices.items() if strides[index] <= 2**frozen_stages}
        parameters = dict(self.model.named_parameters())
        if frozen_stages and not frozen & parameters.keys():
            raise UserError(
                f"frozen_stages {frozen_stages} freezes nothing of this timm model, whose first "
                f"map has stride {strides[0]}: use {round(math.log2(strides[0]))} or more, or 0."
            )
        for name in frozen & parameters.keys():
            parameters[name].requires_grad_(False)
        # Names, as SyncBN replaces modules.
        self._frozen = [
            name
            for name, module in self.model.named_modules()
            if (inner := dict(module.named_parameters(prefix=name, recurse=False)))
            and inner.keys() <= frozen
        ]
        self.train()

    def train(self, mode: bool = True) -> TimmBackbone:
        """Set the mode; batch norms of frozen stages stay in evaluation mode."""
        super().train(mode)
        for name in self._frozen:
            self.model.get_submodule(name).eval()
        return self

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that timm's model exempts from weight decay."""
        with torch.device("meta"):
            whole = timm.create_model(self._name)
        exempt = getattr(whole, "no_weight_decay", set)  # not every model of timm has it
        patterns = [flat_name(name) for name in exempt()]
        return {
            f"model.{name}"
            for name, _ in self.model.named_parameters()
            if any(fnmatchcase(flat_name(name), pattern) for pattern in patterns)
        }

    def ordered_blocks(self) -> list[NetworkBlock]:
        """The blocks, as timm groups them."""
        return timm_blocks(self._name, [name for name, _ in self.model.named_parameters()])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H_l, W_l) per level."""
        if self._patch != self._stride:
            sides = [-(-side // self._stride) * self._patch for side in images.shape[-2:]]
            images = F.interpolate(images, size=sides, mode="bilinear", align_corners=False)
        features: list[Tensor] = self.model(images)
        if self._channels_last:
            features = [level.permute(0, 3, 1, 2) for level in features]
        return features


def _in_levels(shares: Sequence[float]) -> tuple[float, ...]:
    """Convert 0..1 to 0..255, and one grey value to three equal colours."""
    levels = tuple(round(255 * share, 6) for share in shares)
    return levels * 3 if len(levels) == 1 else levels


def _create(model: str, indices: tuple[int, ...] | None = None, pretrained: bool = False) -> Any:
    if not _NAME.fullmatch(model):  # timm would load `hf-hub:...` and `local-dir:...`
        raise UserError(_unknown(model))
    arguments: dict[str, Any] = {"features_only": True, "pretrained": pretrained}
    if indices is not None:
        arguments["out_indices"] = indices
    try:
        for options in _ANY_SIZE:
            try:
                return timm.create_model(model, **options, **arguments)
            except TypeError:  # not an option of this model
                continue
        return timm.create_model(model, **arguments)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:
        if not timm.is_model(model):
            raise UserError(_unknown(model)) from error
        if pretrained:
            raise
        raise UserError(
            f"timm model '{model}' gives no feature maps ({error}): choose another, such as "
            "'resnet50' or 'convnext_tiny'."
        ) from error


@lru_cache(maxsize=8)  # a run on the meta device takes longer than building the network
def _described(model: str) -> tuple[Any, int]:
    """A model with all its maps, on the meta device, and its image side."""
    with torch.device("meta"):
        whole = _create(model)
    published = timm.get_pretrained_cfg(model)
    side = published.input_size[-1] if published is not None else _USUAL_SIDE
    if not takes_any_size(whole, side, max(whole.feature_info.reduction())):
        raise UserError(
            f"timm model '{model}' takes no images of other sizes than {side} x {side}: choose "
            "a convolutional one, a ViT, or a Swin."
        )
    return whole, side


@lru_cache(maxsize=8)
def _unused(model: str, indices: tuple[int, ...], side: int) -> Unused:
    """What leads to no map of a model with these maps."""
    with torch.device("meta"):
        return find_unused(_create(model, indices), side)


def _unknown(model: str) -> str:
    hint = did_you_mean(model, timm.list_models())
    return f"timm {timm.__version__} has no model '{model}'.{hint} timm.list_models() lists all."


def _create_pretrained(model: str, indices: tuple[int, ...]) -> Any:
    if not timm.is_model_pretrained(model):
        raise UserError(f"timm has no published weights for '{model}': set `pretrained` to false.")
    try:
        return _create(model, indices, pretrained=True)
    except UserError:
        raise
    except Exception as error:  # anything that the hub's client raises without a connection
        raise UserError(
            f"the weights of timm model '{model}' could not be fetched ({error}): connect to the "
            "network, give a local file as `checkpoint`, or set `pretrained` to false."
        ) from error


def _indices_of_levels(
    model: str, strides: dict[int, int], levels: tuple[int, ...]
) -> tuple[int, ...]:
    """The index of each level's map; the deepest if several maps have its stride."""
    deepest = {round(math.log2(stride)): index for index, stride in strides.items()}
    if not levels or list(levels) != sorted(set(levels)) or not set(levels) <= deepest.keys():
        raise UserError(
            f"timm model '{model}' has no levels {list(levels)}: it gives levels "
            f"{sorted(deepest)} (strides {sorted(set(strides.values()))}); list some of them, "
            "each once, fine to coarse, in `levels`."
        )
    return tuple(deepest[level] for level in levels)
