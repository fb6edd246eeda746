"""Refuse settings that are valid alone but conflict with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detkit.errors import ConfigError

_OR_DDP = "or trainer.strategy=ddp"


def refuse_combinations(trainer: dict[str, Any], model: Any = None, freeze: Any = None) -> None:
    """Refuse trainer settings that its strategy, the model's norms or `freeze` do not support.

    Args:
        trainer: The checked block.
        model: The checked model, if it is known.
        freeze: The value of the key `freeze`.

    Raises:
        ConfigError: One message per conflict.
    """
    problems = [
        *_sharding_problems(trainer),
        *_norm_problems(trainer, model),
        *_freezing_problems(trainer, freeze),
    ]
    if problems:
        raise ConfigError(problems)


def _norm_problems(trainer: dict[str, Any], model: Any) -> Iterator[str]:
    """Settings with which norm `cmbn` has no effect, or the wrong one."""
    path = next(_paths_of_cmbn(model, "model"), None)
    if path is None:
        return
    if trainer["accumulate_grad_batches"] == 1:
        yield (
            f"{path}: cmbn joins the statistics of the batches of an optimizer step, but "
            "trainer.accumulate_grad_batches=1 gives each step one batch, which makes it plain "
            f"batch norm: raise trainer.accumulate_grad_batches, or set {path}=batch."
        )
    if trainer["sync_batchnorm"]:
        yield (
            "trainer.sync_batchnorm: true shares the statistics of norm batch between devices, but "
            f"{path} is cmbn, whose statistics stay on each device: set "
            f"trainer.sync_batchnorm=false, or {path}=batch."
        )


def _paths_of_cmbn(node: Any, path: str) -> Iterator[str]:
    """The config paths of the norms that are `cmbn`."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "norm" and value == "cmbn":
                yield f"{path}.{key}"
            yield from _paths_of_cmbn(value, f"{path}.{key}")


def _freezing_problems(trainer: dict[str, Any], freeze: Any) -> Iterator[str]:
    """FSDP decides which parameters train when it divides them."""
    is_later = isinstance(freeze, Mapping) and freeze.get("until") is not None
    if is_later and trainer["strategy"] == "fsdp":
        yield (
            "freeze.until: parts cannot be unfrozen while trainer.strategy=fsdp divides the "
            "weights: set trainer.strategy=ddp, or train without `until` and start a second run "
            "with weights=RUN."
        )


def _sharding_problems(trainer: dict[str, Any]) -> list[str]:
    if trainer["strategy"] != "fsdp":
        return []
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
    return problems
