"""Train in this process, and the parts of a training for loops of your own."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detkit import assembly
from detkit.api.arguments import require_class_names, require_config
from detkit.api.configuration import Config, compose
from detkit.api.program_settings import messages_on_terminal, settings_restored
from detkit.api.run import Run
from detkit.assembly import Classes
from detkit.config import plugins
from detkit.data.batch_size import AUTO
from detkit.data.detection_data import Loader
from detkit.data.outline_decoding import require_masks
from detkit.data.quiet_reading import without_messages
from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import freeze as freeze_parts
from detkit.detectors.freezing import read_freezing
from detkit.errors import ConfigError, Stopped, UserError
from detkit.interruption import StopSignals
from detkit.processes import ranks
from detkit.processes.process_group import ProcessGroup
from detkit.processes.rank_environment import is_rank, torchrun_command
from detkit.runs.claim import claimed
from detkit.runs.frozen_config import freeze
from detkit.runs.layout import RunFolder
from detkit.runs.new_folder import discard_untrained
from detkit.runs.training_lock import FolderInUseError, training_lock
from detkit.training.svm_fitting import require_svm_package
from detkit.weights.initial_values import initialise
from detkit.weights.published import fetch
from detkit.weights.start import check_start, start_from

_log = logging.getLogger("detkit.run")
_USER_ERROR = 2  # exit code of a process that was given something wrong
_SIGNALLED = 128  # exit codes above it: ended by a signal
_GRACE = 600.0  # seconds in which a training may end its validation and save, once asked to stop


class Data(NamedTuple):
    """The loaders and classes of a configuration.

    Attributes:
        train: Shuffled, augmented batches of B images. Lightning sets the epoch; a plain loop calls
            `train.batch_sampler.set_epoch(epoch)` before each pass, or all epochs are the same.
        validation: All validation images in order, with the evaluation transforms.
        class_names: The C class names, in label order.
        category_ids: The C ids of the classes in the data set's own format.
    """

    train: Loader
    validation: Loader
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]


def train(config: Config | Sequence[str] = ()) -> Run:
    """Train in this process, as `detkit train` does, and return the run.

    Writes the same run folder, with configuration, checkpoints, metrics and report, and prints the
    same messages. With `trainer.devices` other than 1, it starts one process per device and waits
    for them. Signal handlers, warning filters and log levels are restored at the end. The
    global random state is seeded.

    Args:
        config: The result of `detkit.compose`, or overrides; `["ckpt=RUN"]` resumes a run.

    Raises:
        ConfigError: The configuration has problems, or its parts do not fit each other.
        UserError: The data, the weights or the run folder cannot be used, or a process failed.
        Stopped: Ctrl-C or another signal ended the training after it saved a checkpoint.

    Example:
        >>> run = detkit.train(["ckpt=runs/mine", "trainer.max_epochs=2"])
        >>> run.metrics[-1]["epoch"]
        2
    """
    if is_rank():
        raise UserError(
            "detkit.train starts its processes by itself, but torchrun or srun started this one as "
            "one of several: run the program as a single process, or use `detkit train --freeze`."
        )
    composed = config if isinstance(config, Config) else compose(config)
    values = composed.to_dict()
    if values["trainer"]["num_nodes"] > 1:
        raise UserError(
            "trainer.num_nodes: detkit.train uses one machine; for several, type `detkit train "
            "--freeze ...` and start the command that it prints on each of them."
        )
    in_process = values["trainer"]["devices"] == 1
    with messages_on_terminal(), settings_restored():
        for note in composed.notes:
            _log.info("%s", note)
        folder, code = start(values, in_process=in_process, again=composed.begins_again)
    raise_for_exit_code(code, f"the training in {folder}")
    return Run(folder)


def build(config: Config, *, class_names: Sequence[str] | None = None) -> DetectorModule:
    """Build the detector of a configuration, with the weights that a training begins with.

    The module has `loss(batch) -> dict[str, Tensor]`, scalars to be summed, and `predict(batch) ->
    list[Detections]`, in pixels of the original images; batches come from `detkit.data`.

    Args:
        config: The configuration.
        class_names: The C classes to detect; None reads them from the configuration's data set.

    Raises:
        ConfigError: Parts do not fit each other.
        UserError: The data set or the weights cannot be used.

    Example:
        >>> config = detkit.compose(["model=fcos"])
        >>> detector = detkit.build(config, class_names=["cat", "dog"])
        >>> sum(parameter.numel() for parameter in detector.parameters()) > 1_000_000
        True
    """
    require_config(config)
    if class_names is None:
        data = assembly.build_data(config)
        classes = Classes(list(data.class_names), list(data.category_ids), data.class_counts)
    else:
        names = require_class_names(class_names)
        classes = Classes(names, list(range(1, len(names) + 1)))
    fetch(config)
    detector = assembly.build_detector(config["model"], classes)
    if config.get("init") is not None:
        _log.info("%s", initialise(detector, config["init"], config["model"]))
    if config["weights"] is not None:
        _log.info("%s", start_from(detector, config["weights"], config["model"], classes))
    freezing = read_freezing(config.get("freeze"))
    if freezing is not None:
        _log.info("%s", freeze_parts(detector, freezing))
    return detector


def load_data(config: Config) -> Data:
    """Open the data set of a configuration: its loaders and classes.

    A batch holds `images` (B, 3, H, W), uint8, and a target for each image; `batch.to(device)`
    moves it. Order and augmentation of an epoch depend only on `seed` and its number.

    Args:
        config: The configuration.

    Raises:
        ConfigError: The configuration has a transform in a place that does not support it.
        DataError: The data set cannot be read.

    Example:
        >>> train, validation, class_names, _ = detkit.data(detkit.Run("runs/mine").config)
        >>> next(iter(train)).images.shape
        torch.Size([4, 3, 96, 96])
    """
    require_config(config)
    data = assembly.build_data(config)
    return Data(
        train=data.train_loader(),
        validation=data.validation_loader(),
        class_names=tuple(data.class_names),
        category_ids=tuple(data.category_ids),
    )


def start(config: dict[str, Any], *, in_process: bool, again: bool = False) -> tuple[Path, int]:
    """Freeze a checked configuration into its run folder and train it from there.

    Processes of a run on several devices start from that folder, never from a command line.

    Args:
        config: The configuration.
        in_process: Whether to train in this process.
        again: Whether to restart a run that has no checkpoint yet.

    Returns:
        The run folder, and the exit code of the processes; 0 for a training in this process.

    Raises:
        UserError: Parts of the detector do not fit each other, the weights do not fit, the data has
            no masks for a mask head, or the run needs several machines; then no folder is made.
    """
    if config["trainer"]["num_nodes"] > 1:
        raise UserError(
            "trainer.num_nodes: jobs of a multirun train on one machine each; set it to 1."
        )
    _refuse_unfit(config)
    if again:
        _forget_tracking(config)
    with claimed(config, again) as claimed_config:
        is_new = not RunFolder(claimed_config["run_folder"]).config.exists()
        folder = freeze(_with_batch_size(claimed_config), again)
        if in_process:
            _train_here(folder, is_new)
            return folder, 0
        return folder, _train_in_processes(folder, claimed_config, is_new)


def _with_batch_size(config: dict[str, Any]) -> dict[str, Any]:
    if config["data"]["batch_size"] != AUTO:
        return config
    # Imported late: with Lightning and the estimates of a sweep, for this setting only.
    module = importlib.import_module("detkit.tuning.batch_size")
    decided: dict[str, Any] = module.with_batch_size(config)
    return decided


def _train_here(folder: Path, is_new: bool) -> None:
    try:
        # Imported late: Lightning takes seconds, which `detkit train --cfg job` can do without.
        importlib.import_module("detkit.processes.frozen_training").run(folder)
    except UserError as error:
        if is_new and not isinstance(error, FolderInUseError):
            discard_untrained(folder)
        raise


def _train_in_processes(folder: Path, config: dict[str, Any], is_new: bool) -> int:
    environment = {**os.environ, **plugins.for_child(config["plugins"])}
    command = ranks.command(folder, config["trainer"]["devices"])
    early: list[int] = []
    with StopSignals(early.append) as signals:
        group = ProcessGroup(command, environment=environment, grace=_GRACE)
        signals.react = group.send
        for number in early:
            group.send(number)
        code = group.wait()
    # A signal may end the guard of the group before it starts.
    code = code if code >= 0 else _SIGNALLED - code
    if code == _USER_ERROR and is_new:
        with contextlib.suppress(FolderInUseError), training_lock(folder):
            discard_untrained(folder)
    return code


def raise_for_exit_code(code: int, subject: str) -> None:
    """Turn the exit code of a run's processes into an exception.

    Raises:
        Stopped: A signal ended them.
        UserError: They failed.
    """
    if code > _SIGNALLED:
        raise Stopped(f"stopped: {subject}", code - _SIGNALLED)
    if code != 0:
        raise UserError(f"{subject} failed; its own error is above.")


def freeze_for_others(config: dict[str, Any], *, again: bool) -> tuple[Path, str]:
    """Freeze a run that torchrun or srun starts; returns the folder and the command to type.

    Raises:
        UserError: Parts, weights or data do not fit, or the folder cannot be used.
    """
    if config["data"]["batch_size"] == AUTO:
        raise ConfigError(
            [
                "data.batch_size: auto is measured on the devices of this machine, and other "
                "programs start this run, maybe elsewhere: give a number."
            ]
        )
    _refuse_unfit(config)
    if again:
        _forget_tracking(config)
    with claimed(config, again) as claimed_config:
        folder = freeze(claimed_config, again)
    trainer = config["trainer"]
    return folder, torchrun_command(folder, trainer["devices"], trainer["num_nodes"])


def _forget_tracking(config: dict[str, Any]) -> None:
    """Let a run that begins again have an id of its own in Weights & Biases.

    Raises:
        FolderInUseError: Another process trains in the folder.
    """
    run = RunFolder(config["run_folder"])
    with training_lock(run.path):
        run.wandb_run_id.unlink(missing_ok=True)


def _refuse_unfit(config: dict[str, Any]) -> None:
    """Refuse parts, weights, data or missing packages, before a folder is created."""
    require_svm_package(config["model"])
    check_start(config)
    if assembly.needs_masks(config["model"]) and config["ckpt"] is None:
        with without_messages():
            require_masks(assembly.build_data(config).train_index)
