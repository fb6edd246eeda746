"""The parameter groups of an optimizer: by backbone or not, with or without weight decay."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from annotated_types import Interval
from torch import nn

from detkit.errors import UserError
from detkit.optimizers.weight_decay import undecayed_parameters

BelowOne = Annotated[float, Interval(ge=0, lt=1)]  # a share that the next step keeps
Key = tuple[bool, bool]  # whether in the backbone, and whether without decay


def grouped_names(model: nn.Module, undecayed: Collection[str]) -> dict[Key, list[str]]:
    """Names of the trainable parameters by group, in the order of the optimizer's groups."""
    members: dict[Key, list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("backbone."), name in undecayed)
            members.setdefault(key, []).append(name)
    return dict(sorted(members.items()))


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, backbone_factor: float
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay, without empty groups.

    Parameters in `undecayed_parameters` get no decay; the backbone's parameters get the rate
    `learning_rate * backbone_factor`.

    Raises:
        UserError: Nothing is trainable.
    """
    members = grouped_names(model, undecayed_parameters(model))
    if not members:
        raise UserError(
            "no parameter of the detector is trainable: unfreeze some, for example with "
            "model.backbone.trainable_stages."
        )
    parameters = dict(model.named_parameters())
    return [
        {
            "params": [parameters[name] for name in names],
            "lr": learning_rate * (backbone_factor if in_backbone else 1.0),
            "weight_decay": 0.0 if without_decay else weight_decay,
        }
        for (in_backbone, without_decay), names in members.items()
    ]


def scaled_rate(learning_rate: float, total_batch: int, reference_batch: int | None) -> float:
    """The learning rate, scaled to the images per step if there is a reference batch size."""
    return (
        learning_rate if reference_batch is None else learning_rate * total_batch / reference_batch
    )
