"""The keys of `hydra.launcher` and `hydra.sweeper` for the options that detkit offers.

Pages choose these options, so that every composition needs their names and defaults. The classes
behind them are in `detkit.sweeps` and are loaded only when a sweep starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, make_dataclass
from typing import Annotated, Any, Literal, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from detkit.config.blocks import Block
from detkit.config.checks.safety import CODE_KEYS
from detkit.config.checks.schema import check
from detkit.errors import ConfigError
from detkit.registry import NonNegativeFloat, NonNegativeInt, PositiveInt

DEVICE_POOL, LISTED, OPTUNA = "device_pool", "listed", "optuna"
# Hydra instantiates classes below `hydra_plugins` only; `detkit.sweeps.hydra_classes` puts them
# into this module, which exists in memory only.
PLUGIN_MODULE = "hydra_plugins.detkit"
CLASSES = {
    ("launcher", DEVICE_POOL): "DevicePoolLauncher",
    ("sweeper", LISTED): "ListedSweeper",
    ("sweeper", OPTUNA): "OptunaSweeper",
}
_TARGET = CODE_KEYS[0]
Options = TypeVar("Options")


@dataclass(frozen=True)
class DevicePoolOptions:
    """The keys of `hydra.launcher` with `hydra/launcher=device_pool`.

    Args:
        devices: `auto` takes all GPUs, or the CPU if there is none or no job wants one; `cpu`,
            or a list of GPUs as in CUDA_VISIBLE_DEVICES.
        jobs_per_device: Jobs at once on each GPU. Without GPUs the CPU is one device, and its
            cores are split among this many jobs.
        devices_per_job: GPUs per job; null takes its trainer.devices.
        grace: Seconds that a stopped job has to save its state.
        skip_bad: Skip jobs that cannot run, instead of starting none.
        share_devices: Use GPUs that another sweep of yours on this machine uses, instead of
            waiting for them.
    """

    devices: Literal["auto", "cpu"] | list[NonNegativeInt | str] = "auto"
    jobs_per_device: PositiveInt = 1
    devices_per_job: PositiveInt | None = None
    grace: NonNegativeFloat = 120.0
    skip_bad: bool = False
    share_devices: bool = False


@dataclass(frozen=True)
class ListedOptions:
    """The keys of `hydra.sweeper` with `hydra/sweeper=listed`.

    Args:
        params: What is swept in addition to swept overrides: `key: values`, with values as on the
            command line.
    """

    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptunaOptions:
    """The keys of `hydra.sweeper` with `hydra/sweeper=optuna`.

    Args:
        trials: Configurations to train, including trials of earlier starts and of other processes
            on the same storage; null runs every cell of a grid.
        sampler: `tpe` draws near good trials (the first ten at random), `random` anywhere, `grid`
            every combination of listed values once.
        pruner: `asha` and `median` stop unpromising trials early; `none` stops none.
        min_epochs: Epochs that every trial trains before it may be stopped early.
        seed: Determines every draw. With one job at a time it repeats a search.
        metric: The column of metrics.csv to optimise; a trial's value is that of its best epoch.
        direction: Whether a higher or a lower metric is better.
        storage: The file of the study; null takes `study.journal` in the sweep's folder. Processes
            on several machines may share it.
        params: What is searched in addition to swept overrides: `key: values`, with values as on
            the command line.
    """

    trials: PositiveInt | None = None
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: Literal["none", "asha", "median"] = "none"
    min_epochs: PositiveInt = 1
    seed: NonNegativeInt = 0
    metric: str = "val/AP"
    direction: Literal["maximize", "minimize"] = "maximize"
    storage: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


def publish_sweep_options() -> None:
    """Add the options to Hydra's groups; calling it again is harmless."""
    defaults = {
        DEVICE_POOL: asdict(DevicePoolOptions()),
        LISTED: asdict(ListedOptions()),
        OPTUNA: asdict(OptunaOptions()),
    }
    for (group, name), class_name in CLASSES.items():
        node = {_TARGET: f"{PLUGIN_MODULE}.{class_name}", **defaults[name]}
        ConfigStore.instance().store(
            group=f"hydra/{group}", name=name, node=node, provider="detkit"
        )


def read_options(
    group: str, options: type[Options], node: DictConfig | Mapping[str, Any], words: Sequence[str]
) -> Options:
    """Check the node of a launcher or sweeper like the rest of a configuration.

    Args:
        group: `launcher` or `sweeper`.
        options: The class of the options.
        node: The composed node.
        words: The overrides, to name the one that an error comes from.

    Raises:
        ConfigError: With all problems.
    """
    hydra_block = make_dataclass("Hydra", [(group, Annotated[object, Block(options)])])
    root = make_dataclass("Root", [("hydra", Annotated[object, Block(hydra_block)])])
    checked = check(root, {"hydra": {group: without_target(node)}}, list(words))
    return options(**checked["hydra"][group])


def read_device_pool(
    node: DictConfig | Mapping[str, Any], words: Sequence[str] = ()
) -> DevicePoolOptions:
    """Check `hydra.launcher` of the device pool.

    Raises:
        ConfigError: With all problems.
    """
    return read_options("launcher", DevicePoolOptions, node, words)


def read_optuna(node: DictConfig | Mapping[str, Any], words: Sequence[str] = ()) -> OptunaOptions:
    """Check `hydra.sweeper` of a search.

    Raises:
        ConfigError: With all problems.
    """
    options = read_options("sweeper", OptunaOptions, node, words)
    if options.trials is None and options.sampler != "grid":
        raise ConfigError(
            [
                f"hydra.sweeper.trials: sampler {options.sampler} never stops on its own: state "
                "how many configurations to train, such as hydra.sweeper.trials=20."
            ]
        )
    return options


def without_target(node: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a launcher's or sweeper's node, without the class that Hydra builds."""
    if isinstance(node, DictConfig):
        plain: Any = OmegaConf.to_container(node, resolve=True)
    else:  # Hydra passes a node's values one by one, cut off from what `${...}` in them refers to
        plain = OmegaConf.to_container(OmegaConf.create(dict(node)), resolve=False)
    return {str(key): value for key, value in plain.items() if key != _TARGET}
