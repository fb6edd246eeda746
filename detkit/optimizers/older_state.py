"""Load optimizer states saved when fewer parameters were exempt from weight decay."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkit.optimizers.parameter_groups import grouped_names
from detkit.optimizers.weight_decay import exempt_by_shape, undecayed_parameters


def regrouped(state: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """Rearrange the saved state of an optimizer to the present groups of its parameters.

    Older versions exempted only norm layers, biases and one-dimensional parameters.
    """
    today = grouped_names(model, undecayed_parameters(model))
    before = grouped_names(model, exempt_by_shape(model))
    saved = [len(group["params"]) for group in state["param_groups"]]
    if saved != [len(names) for names in before.values()] or today.keys() != before.keys():
        return state
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    names = [name for group in before.values() for name in group]
    number_of = dict(zip(names, numbers, strict=True))
    positions = {name: index for index, name in enumerate(n for g in today.values() for n in g)}
    groups = [
        {**group, "params": [positions[name] for name in members]}
        for group, members in zip(state["param_groups"], today.values(), strict=True)
    ]
    values = {
        position: state["state"][number_of[name]]
        for name, position in positions.items()
        if number_of[name] in state["state"]
    }
    return {**state, "state": values, "param_groups": groups}
