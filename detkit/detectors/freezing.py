"""Freeze parts of a detector: stages of its backbone, modules or parameters, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from detkit.detectors.base import DetectorModule
from detkit.errors import UserError, did_you_mean
from detkit.ops.network_blocks import inner_blocks
from detkit.text import listed

_KEYS = ("parts", "until")
_EXAMPLE = "freeze=backbone, freeze=[stem,stage1], or freeze={parts:[backbone],until:5}"
_SUGGESTED_DEPTH = 3  # names of modules that a message may suggest


@dataclass(frozen=True)
class Freezing:
    """What a training freezes, and for how long.

    Attributes:
        parts: Stages of the backbone, or patterns for names of modules and parameters.
        until: Number of epochs after which the parts train; None never trains them.
    """

    parts: tuple[str, ...]
    until: int | None = None


def read_freezing(setting: str | Sequence[str] | Mapping[str, Any] | None) -> Freezing | None:
    """Read the value of the key `freeze`.

    Raises:
        UserError: It lists nothing, or a key or its value is wrong.
    """
    if setting is None:
        return None
    values = dict(setting) if isinstance(setting, Mapping) else {"parts": setting}
    if unknown := [key for key in values if key not in _KEYS]:
        raise UserError(
            f"freeze: unknown key '{unknown[0]}'; allowed are parts and until, as in {_EXAMPLE}."
        )
    parts, until = values.get("parts"), values.get("until")
    names = [parts] if isinstance(parts, str) else parts
    if not isinstance(names, Sequence) or not names or not all(names):
        raise UserError(f"freeze names no parts, got {setting!r}: write {_EXAMPLE}.")
    if until is not None and (not isinstance(until, int) or until < 1):
        raise UserError(f"freeze.until is the number of epochs, 1 or more, got {until!r}.")
    return Freezing(tuple(map(str, names)), until)


def freeze(detector: nn.Module, freezing: Freezing) -> str:
    """Freeze the parts of a detector; returns a line on what does not train.

    Raises:
        UserError: A name matches nothing, or the detector cannot freeze parts.
    """
    if not isinstance(detector, DetectorModule):
        raise UserError(
            f"freeze: {type(detector).__name__} does not derive from "
            "detkit.detectors.base.DetectorModule, which freezes parts: set freeze=null."
        )
    names = frozen_parameters(detector, freezing.parts)
    detector.freeze(names)
    sizes = {name: parameter.numel() for name, parameter in detector.named_parameters()}
    frozen, total = sum(sizes[name] for name in names), sum(sizes.values())
    later = ""
    if freezing.until is not None:
        later = f"; all train from epoch {freezing.until + 1} on"
    return (
        f"freeze: {listed(freezing.parts)}: {frozen / 1e6:.2f} of {total / 1e6:.2f} M parameters "
        f"do not train{later}"
    )


def frozen_parameters(detector: nn.Module, parts: Sequence[str]) -> set[str]:
    """Names of the parameters of these parts.

    Raises:
        UserError: A part matches nothing, or nothing is left to train.
    """
    stages = _stages(detector)
    parameters = [name for name, _ in detector.named_parameters()]
    names: set[str] = set()
    for part in parts:
        modules = [name for name, _ in detector.named_modules() if name and fnmatchcase(name, part)]
        matches = {
            name
            for name in parameters
            if fnmatchcase(name, part) or any(name.startswith(f"{module}.") for module in modules)
        }
        for stage, members in stages.items():
            if fnmatchcase(stage, part):
                matches.update(members)
        if not matches:
            raise UserError(_unmatched(detector, part, list(stages)))
        names |= matches
    if all(not p.requires_grad or n in names for n, p in detector.named_parameters()):
        raise UserError(
            f"freeze: with {listed(parts)} frozen, no parameter of the detector trains: freeze "
            "less, for example freeze=backbone."
        )
    return names


def _stages(detector: nn.Module) -> dict[str, list[str]]:
    """The parameters of each stage of the backbone; empty if it lists no blocks."""
    stages: dict[str, list[str]] = {}
    for block in inner_blocks(getattr(detector, "backbone", None), "backbone"):
        stages.setdefault(block.stage, []).extend(block.parameters)
    return stages


def _unmatched(detector: nn.Module, part: str, stages: list[str]) -> str:
    modules = [n for n, _ in detector.named_modules() if n and n.count(".") < _SUGGESTED_DEPTH]
    inner = [name for name in modules if name.rpartition(".")[2] == part]
    meant = f" Did you mean '{inner[0]}'?" if inner else did_you_mean(part, [*stages, *modules])
    top = [n for n, child in detector.named_children() if any(True for _ in child.parameters())]
    of_backbone = f"the stages of the backbone ({', '.join(stages)}), " if stages else ""
    return (
        f"freeze: nothing with parameters is called '{part}'.{meant} There are {of_backbone}"
        f"the parts {', '.join(top)}, and the modules and parameters inside them by name or "
        "pattern, such as backbone.*.bias."
    )
