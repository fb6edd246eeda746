"""A classification network of torchvision or timm as a feature extractor."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.backbones.recipe import BatchNorms, Recipe, deepest_layers, measure
from detkit.backbones.weights import (
    is_without_memory,
    load_weights,
    read_weights,
)
from detkit.errors import UserError
from detkit.ops.network_blocks import NetworkBlock, split_stage, stage_name
from detkit.registry import Wired
from detkit.structures import FeatureSpec
from detkit.structures.published_weights import PublishedWeights

Level = Annotated[int, Interval(ge=1, le=5)]
Stages = Annotated[int, Interval(ge=0, le=5)]
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Network(nn.Module):
    """A network without its classifier and other unused layers.

    The map of level l is the deepest one with stride 2**l. Parameters have the library's names, so
    its weight files fit. Subclasses set the recipe.
    """

    recipe: Recipe
    _factor: Tensor
    _shift: Tensor

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        frozen_stages: Stages = 0,
        levels: tuple[Level, ...] = (3, 4, 5),
    ) -> None:
        """Build, load and freeze.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for the library's published weights, a checkpoint file, or null.
            frozen_stages: Number of frozen stages, from the input: 1 freezes the layers up to
                stride 2, 2 up to stride 4, ..., 5 all.
            levels: Output levels, fine to coarse; level l has stride 2**l.

        Raises:
            UserError: A level does not exist, there is nothing to freeze, or the weights cannot be
                loaded or do not fit.
        """
        super().__init__()
        measured = measure(self.recipe)
        read = deepest_layers(self.recipe, levels)
        self.feature_specs = [FeatureSpec(layer.channels, layer.stride) for layer in read]
        used_layers = measured[: measured.index(read[-1]) + 1]
        self._layers = [layer.name for layer in used_layers]
        self._read = {layer.name for layer in read}
        self._padding = dict(self.recipe.padded)
        # From ImageNet's mean and deviation to a mean and deviation of 0.5.
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_IMAGENET_MEAN, _IMAGENET_STD))
        self.register_buffer("_factor", std / 0.5, persistent=False)
        self.register_buffer("_shift", (mean - 0.5) / 0.5, persistent=False)
        self._adopt(self.recipe.build(False))
        if fetch_weights and weights is not None and not is_without_memory(self):
            tensors = _published(self.recipe) if weights == "imagenet" else read_weights(weights)
            load_weights(self, tensors, weights, _name)
        # Names, as SyncBN replaces modules.
        self._frozen = [layer.name for layer in used_layers if layer.stride <= 2**frozen_stages]
        if frozen_stages and not self._frozen:
            raise UserError(
                f"frozen_stages {frozen_stages} freezes nothing of '{self.recipe.model}', whose "
                f"first layers have stride {used_layers[0].stride}: use "
                f"{round(math.log2(used_layers[0].stride))} or more, or 0."
            )
        self._frozen = self._frozen if frozen_stages else []
        for name in self._frozen:
            self.get_submodule(name).requires_grad_(False)
        self.train()

    @classmethod
    def published_weights(cls, arguments: Mapping[str, Any]) -> PublishedWeights | None:
        """The library's weights, which `weights=imagenet` loads."""
        return cls.recipe.published()

    def _adopt(self, full_model: nn.Module) -> None:
        """Take over the modules with used layers, without their unused children."""
        for name in dict.fromkeys(layer.split(".")[0] for layer in self._layers):
            child = full_model.get_submodule(name)
            if name not in self._layers:
                for inner in [n for n, _ in child.named_children()]:
                    if f"{name}.{inner}" not in self._layers:
                        delattr(child, inner)
            self.add_module(name, child)

    def train(self, mode: bool = True) -> Network:
        """Set the mode; batch norms of frozen stages stay in evaluation mode."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H_l, W_l) per level."""
        features = images * self._factor + self._shift if self.recipe.half_centred else images
        maps = []
        for name in self._layers:
            if name in self._padding:
                features = F.pad(features, [self._padding[name]] * 4)
            features = self.get_submodule(name)(features)
            if name in self._read:
                maps.append(features)
        if self.recipe.channels_last:
            maps = [level.permute(0, 3, 1, 2) for level in maps]
        return maps

    def ordered_blocks(self) -> list[NetworkBlock]:
        """The blocks of each stage; stage l has stride 2**(l + 1).

        The stem has stride 2, or is the layer that makes patches.
        """
        strides = {layer.name: layer.stride for layer in measure(self.recipe)}
        stages: dict[str, list[tuple[str, nn.Module]]] = {}
        for name in self._layers:
            number = 0 if name == self._layers[0] else round(math.log2(max(strides[name], 2))) - 1
            stages.setdefault(stage_name(number), []).append((name, self.get_submodule(name)))
        return [block for stage, layers in stages.items() for block in split_stage(stage, layers)]


class BatchNormNetwork(Network):
    """A network whose batch norm can be replaced.

    A separate class, so that networks without batch norm have no `norm` argument.
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        norm: BatchNorms = "batch",
        frozen_stages: Stages = 0,
        levels: tuple[Level, ...] = (3, 4, 5),
    ) -> None:
        """Build, load, freeze, and replace the norm.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for the library's published weights, a checkpoint file, or null.
            norm: `frozen_batch` keeps the pretrained statistics, which suits small batches; do not
                use it from scratch, where `group` helps. For batch norm over all devices, see
                `trainer.sync_batchnorm`.
            frozen_stages: Number of frozen stages, from the input: 1 freezes the layers up to
                stride 2, 2 up to stride 4, ..., 5 all.
            levels: Output levels, fine to coarse; level l has stride 2**l.

        Raises:
            UserError: As for `Network`.
        """
        super().__init__(
            fetch_weights=fetch_weights,
            weights=weights,
            frozen_stages=frozen_stages,
            levels=levels,
        )
        self.recipe.replace_norms(self, norm)


def _published(recipe: Recipe) -> dict[str, Tensor]:
    try:
        return dict(recipe.build(True).state_dict())
    except Exception as error:  # anything that a hub's client raises without a connection
        published = recipe.published()
        source = published.source if published else recipe.model
        raise UserError(
            f"the ImageNet weights could not be fetched from {source} ({error}): "
            f"connect to the network, put the file into {torch.hub.get_dir()}/checkpoints, set "
            "`weights` to the path of a local file, or to null to train from scratch."
        ) from error


def _name(name: str) -> str:
    """A weight's name; DenseNet's published file has `norm.1` instead of `norm1`."""
    return re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", name)
