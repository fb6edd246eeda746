"""The parameter groups of an optimizer: by learning rate, with or without weight decay."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, NamedTuple

from annotated_types import Interval
from torch import nn

from detkit.errors import UserError
from detkit.ops.network_blocks import inner_blocks
from detkit.optimizers.weight_decay import undecayed_parameters

BelowOne = Annotated[float, Interval(ge=0, lt=1)]  # a share that the next step keeps
LayerDecay = Annotated[float, Interval(gt=0, le=1)]
_BACKBONE = "backbone"


class Key(NamedTuple):
    """What the parameters of a group have in common; groups are sorted by it.

    Attributes:
        in_backbone: Whether they belong to the backbone.
        block: Index of their block in the backbone; 0 if all blocks have one rate.
        without_decay: Whether they are exempt from weight decay.
    """

    in_backbone: bool
    block: int
    without_decay: bool


def grouped_names(
    model: nn.Module, undecayed: Collection[str], block_of: dict[str, int] | None = None
) -> dict[Key, list[str]]:
    """Names of the trainable parameters by group, in the order of the optimizer's groups.

    Args:
        model: The detector.
        undecayed: Names of parameters without weight decay.
        block_of: Index of the block of each parameter that is in one; None ignores blocks.
    """
    deepest = max(block_of.values(), default=-1) + 1 if block_of else 0
    members: dict[Key, list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            in_backbone = name.startswith(f"{_BACKBONE}.")
            block = (block_of or {}).get(name, deepest) if in_backbone else 0
            members.setdefault(Key(in_backbone, block, name in undecayed), []).append(name)
    return dict(sorted(members.items()))


def parameter_groups(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    backbone_factor: float,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay, without empty groups.

    Parameters in `undecayed_parameters` get no decay; the backbone's parameters get the rate
    `learning_rate * backbone_factor`. With a layer decay d below 1, the last of B blocks gets d
    times that rate, the one before d**2, and the stem d**B (BEiT, Bao et al., 2021,
    https://arxiv.org/abs/2106.08254; timm counts in the same way).

    Raises:
        UserError: Nothing is trainable, or there is a layer decay and the backbone has no blocks.
    """
    block_of = _blocks(model) if layer_decay < 1 else None
    members = grouped_names(model, undecayed_parameters(model), block_of)
    if not members:
        raise UserError(
            "no parameter of the detector is trainable: freeze less (freeze=backbone trains neck "
            "and head), or lower model.backbone.frozen_stages."
        )
    parameters = dict(model.named_parameters())
    count = max(block_of.values()) + 1 if block_of else 0
    return [
        {
            "params": [parameters[name] for name in names],
            "lr": learning_rate
            * (backbone_factor if key.in_backbone else 1.0)
            * (layer_decay ** (count - key.block) if block_of and key.in_backbone else 1.0),
            "weight_decay": 0.0 if key.without_decay else weight_decay,
        }
        for key, names in members.items()
    ]


def _blocks(model: nn.Module) -> dict[str, int]:
    """The index of the block of each parameter of the backbone that is in one.

    Raises:
        UserError: The backbone lists no blocks.
    """
    backbone = getattr(model, _BACKBONE, None)
    blocks = inner_blocks(backbone, _BACKBONE)
    if not blocks:
        raise UserError(
            f"optimizer.layer_decay: {type(backbone).__name__} lists no blocks, whose rates could "
            "differ: set optimizer.layer_decay=1, or optimizer.backbone_factor for the whole "
            "backbone."
        )
    return {name: index for index, block in enumerate(blocks) for name in block.parameters}


def scaled_rate(learning_rate: float, total_batch: int, reference_batch: int | None) -> float:
    """The learning rate, scaled to the images per step if there is a reference batch size."""
    return (
        learning_rate if reference_batch is None else learning_rate * total_batch / reference_batch
    )
