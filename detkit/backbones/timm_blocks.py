"""The blocks of timm's models, as timm groups them for layer-wise learning rates."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import timm
import torch
from timm.models import group_parameters

from detkit.ops.network_blocks import NetworkBlock, stage_name


def flat_name(name: str) -> str:
    """A weight's name without the dots that timm replaces in feature extractors."""
    return name.removeprefix("model.").replace(".", "_")


def timm_blocks(model: str, names: Iterable[str]) -> list[NetworkBlock]:
    """The blocks of a feature extractor that is stored as `model`, shallow to deep.

    A stage is one of timm's coarse groups; in a plain transformer, each block is a stage.

    Args:
        model: Its name in timm.
        names: Names of the extractor's parameters; those that the classifier lacks are in no block.
    """
    blocks, stages = _groups(model, coarse=False), _groups(model, coarse=True)
    members: dict[int, list[str]] = {}
    stage_of: dict[int, int] = {}
    for name in names:
        flat = flat_name(name)
        if flat in blocks and flat in stages:
            members.setdefault(blocks[flat], []).append(f"model.{name}")
            stage_of.setdefault(blocks[flat], stages[flat])
    return [
        NetworkBlock(stage_name(stage_of[number]), tuple(members[number]))
        for number in sorted(members)
    ]


@lru_cache(maxsize=8)
def _groups(model: str, coarse: bool) -> dict[str, int]:
    """The number of the group of each parameter of the classifier, by its flat name."""
    with torch.device("meta"):
        whole = timm.create_model(model)
    matcher = getattr(whole, "group_matcher", None)  # not every model of timm has it
    if matcher is None:
        return {}
    groups = group_parameters(whole, matcher(coarse=coarse), reverse=True)
    return {flat_name(name): int(number) for name, number in groups.items()}
