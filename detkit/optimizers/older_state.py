"""The state of an optimizer that was saved when fewer parameters were exempt from weight decay."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkit.optimizers.parameter_groups import grouped_names
from detkit.optimizers.weight_decay import exempt_by_shape, undecayed_parameters


def regrouped(state: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """The saved state of an optimizer, in the groups that its parameters have today.

    Older versions exempted norm layers, biases and parameters of one dimension only.
    """
    today = grouped_names(model, undecayed_parameters(model))
    before = grouped_names(model, exempt_by_shape(model))
    saved = [len(group["params"]) for group in state["param_groups"]]
    if saved != [len(names) for names in before.values()] or today.keys() != before.keys():
        return state
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    names = [name for group in before.values() for name in group]
    number_of = dict(zip(names, numbers, strict=True))
    places = {name: place for place, name in enumerate(n for g in today.values() for n in g)}
    groups = [
        {**group, "params": [places[name] for name in members]}
        for group, members in zip(state["param_groups"], today.values(), strict=True)
    ]
    values = {
        place: state["state"][number_of[name]]
        for name, place in places.items()
        if number_of[name] in state["state"]
    }
    return {**state, "state": values, "param_groups": groups}
