"""`detkit train`: compose, check, freeze, run."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from detkit import assembly
from detkit.api.checkpoint_config import compose_with
from detkit.cli import multirun
from detkit.cli.words import checkpoint_of, compose_training, value_of
from detkit.config import compose, plugins
from detkit.config.derived.gradient_clipping import clipping_notes
from detkit.config.derived.image_size import anchor_note
from detkit.config.derived.pixel_statistics import pixel_notes
from detkit.config.derived.training_length import limit_note
from detkit.config.difference import differences
from detkit.config.lost_values import lost_values
from detkit.config.sweep_jobs import checked_job
from detkit.errors import ConfigError, Stopped, UserError
from detkit.interruption import StopSignals
from detkit.processes import ranks
from detkit.processes.process_group import ProcessGroup
from detkit.processes.rank_environment import is_rank, torchrun_command
from detkit.runs.checkpoint import Checkpoint
from detkit.runs.claim import claimed
from detkit.runs.environment import COMMAND_VARIABLE
from detkit.runs.frozen_config import freeze, read_config, require_plugins
from detkit.runs.layout import CONFIG, RunFolder
from detkit.runs.new_folder import discard_untrained
from detkit.runs.resume import folder_to_resume, run_without_checkpoint
from detkit.runs.resume_changes import check_resume
from detkit.runs.training_lock import FolderInUseError, training_lock
from detkit.weights.start import refuse_foreign_weights

HELP = """
usage: detkit train [KEY=VALUE ...]

Trains the detector that the configuration describes and writes one run folder: configuration,
checkpoints, metrics, curves, pictures, report.

  detkit train                                    RetinaNet on the embedded data set
  detkit train experiment=demo                    a page of conf/experiment
  detkit train model=fcos data.path=DATA          your own images: COCO, Pascal VOC or YOLO
  detkit train image_size=416 data.path=DATA      in all transforms; or [320,416]: height, width
  detkit train model/neck=pan model/head/box_loss=giou optimizer.learning_rate=0.005
  detkit train ckpt=RUN                           resume an interrupted run
  detkit train ckpt=RUN trainer.max_epochs=24     train a finished run for longer
  detkit train trainer.max_minutes=10             for 10 minutes; or trainer.max_steps=5000
  detkit train weights=RUN data.path=DATA         a new run with that run's model and weights
  detkit train weights=RUN settings=RUN data.path=DATA      and with all its settings
  detkit train -m seed=1,2,3                      several runs: detkit sweep --help
  detkit train trainer.devices=4                  on four GPUs of this machine
  detkit train --freeze trainer.num_nodes=2       on several machines: the folder, and what to type

Look before you train:
  detkit config KEY=VALUE ...                     the whole configuration, checked, and its wiring
  detkit train --cfg job KEY=VALUE ...            the same through Hydra, not checked
  detkit list, detkit describe FAMILY NAME        everything you can choose, with its arguments
  detkit train --hydra-help                       Hydra's own flags
"""
HYDRA_FLAGS = ("-m", "--multirun", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")
FREEZE = "--freeze"
_REFUSED = 2  # the exit code of what the user gave
_GRACE = 600.0  # seconds in which a training may end its validation and save, once asked to stop
HYDRA_WORDS = (*HYDRA_FLAGS, "--hydra-help", "-hp", "--hydra-completion")


def run(arguments: list[str]) -> int:
    """Train, or hand the words to Hydra where they ask for what Hydra does."""
    os.environ[COMMAND_VARIABLE] = shlex.join(["detkit", "train", *arguments])
    if is_rank():
        raise UserError(
            "detkit train starts its processes by itself, and was started by torchrun or srun in "
            f"several: type detkit train {FREEZE} ... once, and let them start what it prints."
        )
    only_freeze, arguments = FREEZE in arguments, [w for w in arguments if w != FREEZE]
    resumed, unsaved, source = None, None, value_of(arguments, "ckpt")
    if source not in (None, "null"):
        unsaved = run_without_checkpoint(str(source))
        resumed = None if unsaved else checkpoint_of(arguments, "train", prefer="last")
    if any(word in HYDRA_WORDS for word in arguments):
        if resumed is not None or unsaved is not None:
            raise UserError("ckpt=... resumes one run: leave out Hydra's flags.")
        if only_freeze:
            raise UserError(f"{FREEZE} prepares one run: leave out Hydra's flags.")
        return multirun.run(arguments, _job)
    if resumed is not None:
        config = _resumed(resumed, arguments)
    elif unsaved is not None:
        config = _beginning_again(unsaved, arguments)
    else:
        composed = compose_training(arguments)
        config = composed.config
        notes = [*anchor_note(config, arguments), *pixel_notes(config["model"])]
        notes += [*limit_note(config["trainer"]), *clipping_notes(config)]
        for line in [*lost_values(composed), *notes]:
            print(f"note: {line}", file=sys.stderr)
    if only_freeze or config["trainer"]["num_nodes"] > 1:
        return _prepare(config, again=unsaved is not None)
    in_process = config["trainer"]["devices"] == 1
    return start(config, in_process=in_process, again=unsaved is not None)


def _resumed(checkpoint: Checkpoint, arguments: list[str]) -> dict[str, Any]:
    """The configuration of a checkpoint's run with what may change in it.

    Raises:
        UserError: The checkpoint lies in no run folder, or more would change.
    """
    path = checkpoint.path.resolve()
    folder = folder_to_resume(path).path
    # The words first, since they may load plugins that the run had.
    config = compose_with(checkpoint, "resume", arguments, run_folder=str(folder))
    before = compose_with(checkpoint, "resume", [], run_folder=str(folder))
    for line in check_resume(before, config):
        print(f"changed: {line}", file=sys.stderr)
    config["ckpt"] = str(path)
    return config


def _beginning_again(folder: Path, arguments: list[str]) -> dict[str, Any]:
    """The configuration of a run that had no checkpoint yet; all of it may change.

    Raises:
        UserError: A living process trains in the folder, or the words do not fit.
    """
    content = {**read_config(folder), "run_folder": str(folder)}
    with training_lock(folder):
        RunFolder(folder).wandb_run_id.unlink(missing_ok=True)
    try:
        # The words first, since they may load plugins that the run had.
        config = compose.compose("resume", arguments, content)
    except ConfigError:
        require_plugins(content, folder)
        raise
    config["ckpt"] = None
    print(
        f"{folder.name}: ended before its first checkpoint; it begins again from its {CONFIG}",
        file=sys.stderr,
    )
    for change in differences(compose.compose("resume", [], content), config):
        print(f"changed: {change}", file=sys.stderr)
    return config


def start(config: dict[str, Any], in_process: bool, again: bool = False) -> int:
    """Freeze a checked configuration into its run folder and run it from there.

    The ranks of a run on several devices start from that folder, never from this command line.

    Args:
        config: The configuration.
        in_process: Whether the run takes place in this process.
        again: Whether it takes the place of one that had no checkpoint yet.

    Raises:
        UserError: Parts of the detector do not fit each other, nothing of the weights fits it, or
            it would take other machines; then no folder is made.
    """
    if config["trainer"]["num_nodes"] > 1:
        raise UserError(
            "trainer.num_nodes: jobs of a multirun train on one machine each; set it to 1."
        )
    _refuse_unfit(config)
    with claimed(config, again) as claimed_config:
        return _start(claimed_config, in_process, again)


def _start(config: dict[str, Any], in_process: bool, again: bool) -> int:
    is_new = not RunFolder(config["run_folder"]).config.exists()
    folder = freeze(config, again)
    if in_process:
        # Imported here since it takes Lightning along, which `--cfg job` does without.
        try:
            importlib.import_module("detkit.processes.frozen_training").run(folder)
        except UserError as error:
            if is_new and not isinstance(error, FolderInUseError):
                discard_untrained(folder)
            raise
        return 0
    settings = {**os.environ, **plugins.for_child(config["plugins"])}
    command = ranks.command(folder, config["trainer"]["devices"])
    early: list[int] = []
    with StopSignals(early.append) as signals:
        group = ProcessGroup(command, environment=settings, grace=_GRACE)
        signals.react = group.send
        for number in early:
            group.send(number)
        code = group.wait()
    code = code if code >= 0 else 128 - code  # a signal ended the guard before it could start
    if code == _REFUSED and is_new:
        with contextlib.suppress(FolderInUseError), training_lock(folder):
            discard_untrained(folder)
    return code


def _refuse_unfit(config: dict[str, Any]) -> None:
    """Refuse parts or weights that do not fit, before a folder is created.

    Raises:
        UserError: Parts do not fit each other, or the weights do not fit the model.
    """
    assembly.refuse_misfits(config["model"])
    if config["weights"] is not None and config["ckpt"] is None:
        refuse_foreign_weights(config["weights"], config["model"])


def _prepare(config: dict[str, Any], again: bool) -> int:
    """Freeze a run that other programs start, and print their command."""
    _refuse_unfit(config)
    with claimed(config, again) as claimed_config:
        folder = freeze(claimed_config, again)
    trainer = config["trainer"]
    command = torchrun_command(folder, trainer["devices"], trainer["num_nodes"])
    if config["plugins"]:
        (allowed,) = plugins.for_child(config["plugins"]).items()
        command = f"{allowed[0]}={shlex.quote(allowed[1])} {command}"
    where = "start it"
    if trainer["num_nodes"] > 1:
        where += (
            f" on each of the {trainer['num_nodes']} machines, which all see this folder and the "
            "data (HOST is one of them)"
        )
    again_text = "started again, it goes on from its last checkpoint"
    print(f"frozen: {RunFolder(folder).config}\n{where}; {again_text}:\n  {command}")
    print("SLURM: docs/clusters.md")
    return 0


def _job(composed: DictConfig) -> None:
    """One job of a multirun of a launcher that is not detkit's own, in a process of its own."""
    hydra = HydraConfig.get()
    config = checked_job("train", composed, list(hydra.overrides.task))
    if hydra.mode == RunMode.MULTIRUN:
        config["run_folder"] = str(Path(hydra.runtime.output_dir))
    code = start(config, in_process=False)
    if code > 128:  # noqa: PLR2004  # ended by a signal
        raise Stopped(f"stopped: the job in {config['run_folder']}", code - 128)
    if code != 0:
        raise UserError(f"the job in {config['run_folder']} failed; its own error stands above.")
