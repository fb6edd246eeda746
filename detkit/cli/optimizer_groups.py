"""A table of the parameter groups of a configuration's optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.data.batch_size import known_batch_size
from detkit.detectors.freezing import freeze, read_freezing
from detkit.ops.network_blocks import inner_blocks
from detkit.text import align_columns
from detkit.training.devices import device_count

_HEADING = ("  parameters of", "number", "learning rate", "weight decay")


def optimizer_groups(config: Mapping[str, Any], classes: Classes) -> str:
    """The groups of the optimizer in their order, and what is frozen; allocates no weights.

    Args:
        config: The checked configuration of a training.
        classes: What the detector detects.

    Raises:
        UserError: Nothing trains, or `freeze` names no part of the detector.
    """
    detector = assembly.describe_on_meta(config["model"], classes)
    freezing = read_freezing(config["freeze"])
    frozen = []
    if freezing is not None and freezing.until is None:
        frozen = [f"  {freeze(detector, freezing)}"]
    factory = assembly.build("optimizer", config["optimizer"], classes.wiring(), ("optimizer",))
    groups = factory(detector, _images_per_step(config)).param_groups
    if freezing is not None and not frozen:
        frozen = [f"  {freeze(detector, freezing)}"]
    names = {id(parameter): name for name, parameter in detector.named_parameters()}
    blocks = _blocks(detector)
    rows = [list(_HEADING)]
    for group in groups:
        owners = _owners([names[id(parameter)] for parameter in group["params"]], blocks)
        number = sum(parameter.numel() for parameter in group["params"])
        decay = f"{group.get('weight_decay', 0):g}"
        rows.append([f"  {owners}", f"{number:,}", f"{group['lr']:.3g}", decay])
    title = f"optimizer groups of {config['optimizer']['name']}"
    return "\n".join([title, *align_columns(rows, range(1, len(_HEADING))), *frozen])


def _images_per_step(config: Mapping[str, Any]) -> int:
    """Images per optimizer step; any number if the rates do not depend on it."""
    if config["optimizer"].get("reference_batch") is None:
        return 1
    trainer = config["trainer"]
    devices = device_count(trainer["devices"], trainer["accelerator"]) * trainer["num_nodes"]
    batches: int = devices * trainer["accumulate_grad_batches"]
    return batches * known_batch_size(config["data"]["batch_size"])


def _blocks(detector: nn.Module) -> dict[str, str]:
    """The block of each parameter of the backbone, in words."""
    words: dict[str, str] = {}
    counts: dict[str, int] = {}
    for block in inner_blocks(getattr(detector, "backbone", None), "backbone"):
        counts[block.stage] = counts.get(block.stage, 0) + 1
        label = f"backbone {block.stage}"
        label += "" if block.stage == "stem" else f", block {counts[block.stage]}"
        words.update(dict.fromkeys(block.parameters, label))
    return words


def _owners(names: Sequence[str], blocks: Mapping[str, str]) -> str:
    """The block of these parameters, or the parts that they belong to."""
    owners = {blocks.get(name, "") for name in names}
    if len(owners) == 1 and "" not in owners:
        return owners.pop()
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
