"""`detkit plan`: estimate the cost of each job of a sweep, and find jobs that cannot run."""

from __future__ import annotations

import sys

from detkit.cli.config import whole
from detkit.cli.flags import without
from detkit.config import compose, sweep_jobs
from detkit.config.flags import split_flags
from detkit.config.override_text import value_of
from detkit.config.overrides import has_no_list
from detkit.errors import ConfigError, UserError
from detkit.sweeps.estimates.device_speed import SpeedOfDevices
from detkit.sweeps.estimates.sweep_plan import (
    classes_text,
    images_text,
    left_out_lines,
    plan,
    plan_table,
    problem_lines,
    with_params,
)
from detkit.sweeps.estimates.training_cost import Estimator
from detkit.text import counted

HELP = """
usage: detkit plan [KEY=VALUE,VALUE ...]

Composes, checks and builds every job of a sweep before anything starts, without allocating weights.
Shows the minutes of the whole training, parameters, operations, priors and the memory of a training
step, for the classes and image sizes of data.path. If a job cannot run, prints the reason; the exit
code is then 1. Takes the overrides of `detkit sweep`; for a search it shows all combinations of
listed values. It trains nothing, and reads only annotations and a few images.

  detkit plan model=fcos,retinanet model/neck=fpn,pan seed=1,2,3
  detkit plan model=faster_rcnn data.batch_size=4,8 trainer.precision=32,bf16

image_size=N       image size, as in a training
num_classes=N      number of classes to assume instead of the data's

Minutes are rough, within a factor of two or three: they follow from the operations and a one-second
measurement of this machine. `detkit benchmark` measures actual training steps.
GFLOP are per image, and count a multiplication and an addition as two operations. Memory is for one
device with data.batch_size images: weights, gradients, optimizer state, and the activations saved
for the backward pass (within 3 % of PyTorch's). CUDA and its libraries need more.
"""
MOST_CELLS = 40
_MULTIRUN = ("-m", "--multirun")
_OWN = ("num_classes",)


def run(arguments: list[str]) -> int:
    """Print the table of cells; return 1 if a cell cannot run."""
    words, _ = without(arguments, *_MULTIRUN)
    if value_of(words, "ckpt") not in (None, "null"):
        raise UserError("ckpt=... resumes a single run, which is not a sweep: remove it.")
    flags, words = split_flags(words)
    if flags:
        raise ConfigError([f"'{flags[0]}' is a flag of `detkit train` only."])
    classes = whole(words, "num_classes", 0) or None
    prepared = compose.prepare([word for word in words if word.partition("=")[0] not in _OWN])
    prepared = with_params(prepared)
    drawn = [word for word in prepared if has_no_list(word)]
    for word in drawn:
        print(
            f"note: {word.lstrip('+')} is sampled by a sweeper such as optuna; the plan uses "
            "the configuration's own value",
            file=sys.stderr,
        )
    cells = sweep_jobs.cells("train", [word for word in prepared if word not in drawn])
    planned = plan(cells, Estimator(classes, speed=SpeedOfDevices()))
    headings = [counted(len(planned), "cell"), classes_text(planned), images_text(planned)]
    print("; ".join(filter(None, headings)))
    print()
    print("\n".join([*plan_table(planned, MOST_CELLS), *left_out_lines(planned)]))
    problems = problem_lines(planned)
    if not problems:
        return 0
    bad = sum(1 for cell in planned if cell.problems)
    print(f"\n{bad} of {counted(len(planned), 'cell')} cannot run:")
    print("\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, 1)))
    return 1
