"""A classification network of torchvision or timm as feature extractor, run layer by layer."""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.backbones.recipe import BatchNorms, Recipe, deepest_layers, measure
from detkit.backbones.weights import is_without_memory, load_weights, read_weights
from detkit.errors import UserError
from detkit.registry import Wired
from detkit.structures import FeatureSpec

Level = Annotated[int, Interval(ge=1, le=5)]
Stages = Annotated[int, Interval(ge=0, le=5)]
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Network(nn.Module):
    """A network without its classifier, and without layers that lead to no map.

    The map of level l is the deepest one with stride 2**l. Names of parameters are the library's,
    so its weight files fit. Subclasses say which network.
    """

    recipe: ClassVar[Recipe]
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
            fetch_weights: Whether `weights` are read; not where a checkpoint brings them.
            weights: `imagenet` for the library's published weights, a checkpoint file, or null.
            frozen_stages: Layers that do not train, from the input: 1 those up to stride 2, 2 also
                those up to stride 4, ..., 5 all.
            levels: Maps to give, fine to coarse; level l has stride 2**l.

        Raises:
            UserError: There is no such level or nothing to freeze, or the weights cannot be had or
                do not fit.
        """
        super().__init__()
        measured = measure(self.recipe)
        read = deepest_layers(self.recipe, levels)
        self.feature_specs = [FeatureSpec(layer.channels, layer.stride) for layer in read]
        kept = measured[: measured.index(read[-1]) + 1]
        self._layers = [layer.name for layer in kept]
        self._read = {layer.name for layer in read}
        self._padding = dict(self.recipe.padded)
        # From ImageNet's mean and deviation to those of mean and deviation 0.5
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_IMAGENET_MEAN, _IMAGENET_STD))
        self.register_buffer("_factor", std / 0.5, persistent=False)
        self.register_buffer("_shift", (mean - 0.5) / 0.5, persistent=False)
        self._adopt(self.recipe.build(False))
        if fetch_weights and weights is not None and not is_without_memory(self):
            found = _published(self.recipe) if weights == "imagenet" else read_weights(weights)
            load_weights(self, found, weights, _name)
        # Names, as SyncBN replaces modules.
        self._frozen = [layer.name for layer in kept if layer.stride <= 2**frozen_stages]
        if frozen_stages and not self._frozen:
            raise UserError(
                f"frozen_stages {frozen_stages} freezes nothing of '{self.recipe.model}', whose "
                f"first layers have stride {kept[0].stride}: use "
                f"{round(math.log2(kept[0].stride))} or more, or 0."
            )
        self._frozen = self._frozen if frozen_stages else []
        for name in self._frozen:
            self.get_submodule(name).requires_grad_(False)
        self.train()

    def _adopt(self, whole: nn.Module) -> None:
        """Take over the modules that hold the kept layers, and drop the others in them."""
        for name in dict.fromkeys(layer.split(".")[0] for layer in self._layers):
            child = whole.get_submodule(name)
            if name not in self._layers:
                for inner in [n for n, _ in child.named_children()]:
                    if f"{name}.{inner}" not in self._layers:
                        delattr(child, inner)
            self.add_module(name, child)

    def train(self, mode: bool = True) -> Network:
        """As usual, but the batch norm of frozen stages keeps its statistics."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H_l, W_l) per level."""
        features = images * self._factor + self._shift if self.recipe.half_centred else images
        found = []
        for name in self._layers:
            if name in self._padding:
                features = F.pad(features, [self._padding[name]] * 4)
            features = self.get_submodule(name)(features)
            if name in self._read:
                found.append(features)
        if self.recipe.channels_last:
            found = [level.permute(0, 3, 1, 2) for level in found]
        return found


class BatchNormNetwork(Network):
    """A network whose batch norm can be replaced.

    A second step of inheritance, so that networks without batch norm do not take a `norm`.
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
            fetch_weights: Whether `weights` are read; not where a checkpoint brings them.
            weights: `imagenet` for the library's published weights, a checkpoint file, or null.
            norm: `frozen_batch` keeps the weights' statistics; good for small batches of a
                pretrained network, wrong from scratch, where `group` helps. For batch norm over
                all devices, see `trainer.sync_batchnorm`.
            frozen_stages: Layers that do not train, from the input: 1 those up to stride 2, 2 also
                those up to stride 4, ..., 5 all.
            levels: Maps to give, fine to coarse; level l has stride 2**l.

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
    except Exception as error:  # whatever a hub's client raises when there is no way to it
        raise UserError(
            f"the ImageNet weights could not be fetched from {recipe.published_at()} ({error}): "
            f"connect to the network, put the file into {torch.hub.get_dir()}/checkpoints, set "
            "`weights` to the path of a local file, or to null to train from scratch."
        ) from error


def _name(name: str) -> str:
    """A weight's name; DenseNet's published file writes `norm.1` for what is called `norm1`."""
    return re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", name)
