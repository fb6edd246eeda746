"""Refuse settings that are valid alone but conflict with each other."""

from __future__ import annotations

from typing import Any

from detkit.errors import ConfigError

_OR_DDP = "or trainer.strategy=ddp"


def refuse_combinations(trainer: dict[str, Any]) -> None:
    """Refuse trainer settings that its strategy does not support.

    Args:
        trainer: The checked block.

    Raises:
        ConfigError: One message per conflict.
    """
    if trainer["strategy"] != "fsdp":
        return
    problems = []
    if trainer["devices"] == trainer["num_nodes"] == 1:
        problems.append(
            "trainer.strategy: fsdp divides the weights over several devices, got "
            "trainer.devices=1: set trainer.devices=2 or more, or trainer.strategy=auto."
        )
    if trainer["precision"] == 16:  # noqa: PLR2004  # as the user wrote it
        problems.append(
            "trainer.precision: 16 scales the loss, which was not tried with "
            f"trainer.strategy=fsdp: set trainer.precision=bf16 {_OR_DDP}."
        )
    if trainer["channels_last"]:
        problems.append(
            "trainer.channels_last: got true, and trainer.strategy=fsdp can only divide weights "
            f"in PyTorch's usual order: set trainer.channels_last=false {_OR_DDP}."
        )
    if trainer["compile"]:
        problems.append(
            "trainer.compile: got true, and trainer.strategy=fsdp gathers the network block by "
            "block, between which torch.compile gives up: set trainer.compile=false "
            f"{_OR_DDP}."
        )
    if problems:
        raise ConfigError(problems)
