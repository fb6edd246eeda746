"""Evaluation in tiles: whole images from the loader, tiles to the detector."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from detkit import assembly
from detkit.data.batch_size import known_batch_size
from detkit.data.collate import Collate
from detkit.data.configured_proposals import configured_proposals
from detkit.errors import ConfigError, UserError
from detkit.inference.plain_values import plain_text
from detkit.inference.tiled_batches import Detect, TiledDetection
from detkit.inference.tiling import Tiling

LOGGER = logging.getLogger("detkit.api")


def recommend_tiles(trained: Mapping[str, Any], tiling: Tiling | None) -> None:
    """Warn if a detector that was trained on tiles is to see whole images.

    Args:
        trained: The configuration of its training.
        tiling: How images are cut now; None if they are not.
    """
    tiles = trained.get("data", {}).get("tiling") or {}
    if tiling is None and tiles.get("size") is not None:
        LOGGER.warning(
            "this detector was trained on tiles (data.tiling), and now sees whole images: add "
            "'tiling={size: %s, overlap: %g}' to detect in tiles of the same size",
            json.dumps(tiles["size"]),
            tiles["overlap"],
        )


def refuse_training_tiles(
    config: Mapping[str, Any], trained: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Refuse `data.tiling` in an evaluation, which would have no effect.

    Args:
        config: The checked configuration of the evaluation.
        trained: The configuration of the training, whose own setting may stay.

    Raises:
        ConfigError: It is set.
    """
    size = config["data"]["tiling"]["size"]
    if size is not None and size != (trained.get("data", {}).get("tiling") or {}).get("size"):
        text = plain_text(size)
        raise ConfigError(
            [
                f"data.tiling.size: is {text}, and only trainings cut images by it: set "
                f"tiling.size={text} to detect in tiles."
            ]
        )


def with_tiles(
    config: Mapping[str, Any], detect: Detect, tiling: Tiling | None, stride: int
) -> tuple[Mapping[str, Any], Detect]:
    """A configuration whose images stay whole, and a detection that cuts them into tiles.

    Args:
        config: The checked configuration of the root `evaluate`.
        detect: Detects in batches of transformed images.
        tiling: How images are cut; None changes nothing.
        stride: The largest stride of the network.

    Raises:
        UserError: The tiles are too small for the network, or it takes regions from a file.
    """
    if tiling is None:
        return config, detect
    tiling.require_stride(stride)
    if configured_proposals(config) is not None:
        raise UserError(
            "tiling: this detector takes its regions from a file, which holds them for whole "
            "images: measure it without tiling."
        )
    data, augmentation = config["data"], config["augmentation"]
    tiled = TiledDetection(
        detect,
        tiling,
        transforms=assembly.build_transforms(augmentation, "evaluation"),
        collate=Collate(pad_multiple=augmentation["pad_multiple"]),
        batch_size=data["validation_batch_size"] or known_batch_size(data["batch_size"]),
    )
    whole = {
        "data": {**data, "validation_batch_size": 1},
        "augmentation": {**augmentation, "evaluation": {}, "pad_multiple": 1},
    }
    return {**config, **whole}, tiled
