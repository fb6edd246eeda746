"""`detkit train`: compose, check, freeze, run."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from detkit.api.training import freeze_for_others, raise_for_exit_code, start
from detkit.api.training_config import training_config
from detkit.cli import multirun
from detkit.config import plugins
from detkit.config.override_text import value_of
from detkit.config.sweep_jobs import checked_job
from detkit.errors import UserError
from detkit.processes.rank_environment import is_rank
from detkit.runs.environment import COMMAND_VARIABLE
from detkit.runs.layout import RunFolder

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
HYDRA_WORDS = (*HYDRA_FLAGS, "--hydra-help", "-hp", "--hydra-completion")


def run(arguments: list[str]) -> int:
    """Train, or pass the words to Hydra if they ask for one of its functions."""
    os.environ[COMMAND_VARIABLE] = shlex.join(["detkit", "train", *arguments])
    if is_rank():
        raise UserError(
            "detkit train starts its processes by itself, and was started by torchrun or srun in "
            f"several: type detkit train {FREEZE} ... once, and let them start what it prints."
        )
    only_freeze, overrides = FREEZE in arguments, [w for w in arguments if w != FREEZE]
    if any(word in HYDRA_WORDS for word in overrides):
        if value_of(overrides, "ckpt") not in (None, "null"):
            raise UserError("ckpt=... resumes one run: leave out Hydra's flags.")
        if only_freeze:
            raise UserError(f"{FREEZE} prepares one run: leave out Hydra's flags.")
        return multirun.run(overrides, _job)
    training = training_config(overrides)
    for line in training.notes:
        print(line, file=sys.stderr)
    if only_freeze or training.config["trainer"]["num_nodes"] > 1:
        _freeze(training.config, again=training.begins_again)
        return 0
    in_process = training.config["trainer"]["devices"] == 1
    return start(training.config, in_process=in_process, again=training.begins_again)[1]


def _freeze(config: dict[str, Any], again: bool) -> None:
    """Freeze a run that other programs start, and print their command."""
    folder, command = freeze_for_others(config, again=again)
    if config["plugins"]:
        (allowed,) = plugins.for_child(config["plugins"]).items()
        command = f"{allowed[0]}={shlex.quote(allowed[1])} {command}"
    machines = config["trainer"]["num_nodes"]
    where = "start it"
    if machines > 1:
        where += (
            f" on each of the {machines} machines, which all see this folder and the data (HOST "
            "is one of them)"
        )
    again_text = "started again, it resumes from its last checkpoint"
    print(f"frozen: {RunFolder(folder).config}\n{where}; {again_text}:\n  {command}")
    print("SLURM: docs/clusters.md")


def _job(composed: DictConfig) -> None:
    """One job of a multirun of a launcher that is not detkit's own, in a process of its own."""
    hydra = HydraConfig.get()
    config = checked_job("train", composed, list(hydra.overrides.task))
    if hydra.mode == RunMode.MULTIRUN:
        config["run_folder"] = str(Path(hydra.runtime.output_dir))
    _, code = start(config, in_process=False)
    raise_for_exit_code(code, f"the job in {config['run_folder']}")
