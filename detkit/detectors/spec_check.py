"""Compare the maps of backbones and necks with the feature specs that they publish."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from detkit import registry
from detkit.errors import ConfigError
from detkit.ops.input_channels import input_channels

_TRIED_SIZE = (256, 256)


def require_true_specs(detector: torch.nn.Module) -> None:
    """Run an image through a detector on the meta device, and compare maps with feature specs.

    Raises:
        ConfigError: A part gives other channels than it publishes.
    """
    parts = [registry.part(f, name) for f in ("backbone", "neck") for name in registry.names(f)]
    by_factory = {part.factory: part for part in parts if part.factory is not None}
    for module in detector.modules():
        if type(module) in by_factory:
            module.register_forward_hook(partial(_compare_maps, by_factory[type(module)]))
    detector.eval()(torch.empty(1, input_channels(detector), *_TRIED_SIZE))


def _compare_maps(part: registry.Part, module: Any, inputs: Any, maps: list[torch.Tensor]) -> None:
    published = [spec.channels for spec in module.feature_specs]
    actual = [level.shape[1] for level in maps]
    if published != actual:
        raise ConfigError(
            [
                f"{part.family} '{part.name}' ({part.file}): its feature_specs say that its levels "
                f"have {published} channels, and they have {actual}: let feature_specs say what "
                f"forward gives. `detkit plugin check {part.family}/{part.name}` tries the rest."
            ]
        )
