"""`detkit sweep`: many trainings from one line; the same as `detkit train -m`."""

from __future__ import annotations

import importlib

from detkit.cli import train
from detkit.cli.main import VERBS

HELP = """
usage: detkit sweep [--skip-bad] KEY=VALUE,VALUE [KEY=VALUE ...]

Trains every combination of the listed values, each as a run of its own, side by side on the GPUs
of this machine, or on sets of its CPU cores. What is wrong in any of them is said before the first
starts. A job that fails is recorded and the others go on; exit code 1 then.

  detkit sweep seed=1,2,3                         three runs
  detkit sweep model/neck=fpn,pan optimizer.learning_rate=0.005,0.01 seed=1,2
  detkit sweep seed=1,2 hydra.launcher.jobs_per_device=2       two at once on each GPU
  detkit sweep seed=1,2 trainer.devices=2 hydra.launcher.devices=[0,1,2,3]
  detkit sweep seed=1,2,3,4 hydra.sweep.dir=DIR   only what is not in DIR yet: seed 4

  detkit sweep resume DIR [--failed]              go on after Ctrl-C, a kill, a power cut
  detkit sweep table DIR                          results side by side, what each key does
  detkit plan KEY=VALUE,VALUE                     what each job would take, before any starts

--skip-bad         leave out combinations that cannot run, instead of starting none

hydra.sweep.dir=DIR                   where the jobs lie (runs/TIME_sweep)
hydra.launcher.devices=[0,1]          GPUs to use, or cpu (auto: all)
hydra.launcher.jobs_per_device=N      jobs at once on each GPU; without GPUs, at once in all,
                                      the CPU cores being split among them (1)
hydra.launcher.devices_per_job=N      GPUs of a job (its trainer.devices)
hydra.launcher.share_devices=true     also use GPUs that another sweep of yours uses (wait)
hydra.launcher.grace=SECONDS          for a job to save when it is stopped (120)

Ctrl-C stops the running jobs with a checkpoint each; a second one stops them at once.
"""


def run(arguments: list[str]) -> int:
    """Hand the words to the module of the verb, or start a sweep."""
    if arguments and arguments[0] in VERBS["sweep"]:
        verb = importlib.import_module(f"detkit.cli.sweep_{arguments[0]}")
        code: int = verb.run(arguments[1:])
        return code
    return train.run(["-m", *arguments])
