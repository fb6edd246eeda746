"""`detkit sweep`: run many trainings from one line, as `detkit train -m` does."""

from __future__ import annotations

import importlib

from detkit.cli import train
from detkit.cli.main import VERBS

HELP = """
usage: detkit sweep [--skip-bad] KEY=VALUE,VALUE [KEY=VALUE ...]

Trains every combination of the listed values, each as a separate run, in parallel on the GPUs of
this machine or on disjoint sets of its CPU cores. Checks all jobs before the first one starts. A
failed job is recorded, and the remaining jobs continue; the exit code is then 1.

  detkit sweep seed=1,2,3                         three runs
  detkit sweep model/neck=fpn,pan optimizer.learning_rate=0.005,0.01 seed=1,2
  detkit sweep seed=1,2 hydra.launcher.jobs_per_device=2       two jobs per GPU
  detkit sweep seed=1,2 trainer.devices=2 hydra.launcher.devices=[0,1,2,3]
  detkit sweep seed=1,2,3,4 hydra.sweep.dir=DIR   only what is not in DIR yet: seed 4

  detkit sweep resume DIR [--failed]              after Ctrl-C, a kill or a power cut
  detkit sweep table DIR                          results, and the effect of each key
  detkit plan KEY=VALUE,VALUE                     minutes and memory of each job, before any starts

--skip-bad         skip combinations that cannot run, instead of starting none

hydra.sweep.dir=DIR                   folder of the jobs (runs/TIME_sweep)
hydra.launcher.devices=[0,1]          GPUs to use, or cpu (auto: all)
hydra.launcher.jobs_per_device=N      parallel jobs per GPU; without GPUs, parallel jobs in all,
                                      which share the CPU cores (1)
hydra.launcher.devices_per_job=N      GPUs per job (its trainer.devices)
hydra.launcher.share_devices=true     do not wait for GPUs that another sweep of yours uses
hydra.launcher.grace=SECONDS          time for a stopped job to save (120)

Ctrl-C stops the running jobs, each with a checkpoint; a second Ctrl-C stops them at once.
"""


def run(arguments: list[str]) -> int:
    """Run a verb, or start a sweep."""
    if arguments and arguments[0] in VERBS["sweep"]:
        verb = importlib.import_module(f"detkit.cli.sweep_{arguments[0]}")
        code: int = verb.run(arguments[1:])
        return code
    return train.run(["-m", *arguments])
