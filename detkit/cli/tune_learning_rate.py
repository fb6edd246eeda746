"""`detkit tune learning_rate`: a learning-rate range test."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.api.training_config import new_training
from detkit.cli.data_words import output_folder, own_options
from detkit.cli.output_folder import make_folder
from detkit.config.lost_values import lost_values
from detkit.config.override_text import value_of
from detkit.errors import UserError
from detkit.processes.failures import plain_worker_failures
from detkit.registry import PositiveFloat, PositiveInt
from detkit.runs.log_file import log_to
from detkit.text import align_columns
from detkit.tuning.batch_size import with_batch_size
from detkit.tuning.learning_rate import range_test
from detkit.tuning.range_test import RULE, RangeTest
from detkit.visualization.rate_curve import plot_rate_curve
from detkit.weights.start import check_start

HELP = """
usage: detkit tune learning_rate [KEY=VALUE ...]

Trains for some steps while the learning rate grows exponentially, and suggests the rate at which
the loss falls fastest (Smith, 2015). Takes the overrides of `detkit train`. Model, weights, data,
seed, augmentation, optimizer, precision, clipping and accumulation are those of the training; the
rates of parameter groups (optimizer.layer_decay, optimizer.backbone_factor) keep their ratios. The
test ends early if the loss diverges: infinite, NaN, or four times its best running average.
Trains no run and changes none: it prints the words to train with.

  detkit tune learning_rate model=fcos data.path=DATA
  detkit tune learning_rate model=fcos data.path=DATA optimizer=adamw steps=200
  detkit tune learning_rate model=fcos data.path=DATA lowest=1e-5 highest=10

lowest=1e-6              optimizer.learning_rate of the first step
highest=1                optimizer.learning_rate of the last step
steps=100                optimizer steps, 20 or more; more steps give a smoother curve
output=learning_rate     folder for learning_rate.json and learning_rate.png; null writes none

Exit code 1 if the loss never falls by more than its noise, so that there is no suggestion.
"""
_RATE = "optimizer.learning_rate"
_ROWS = 12  # of the table, at most


@dataclass(frozen=True)
class Options:
    """The command's options, in addition to the training's.

    Args:
        lowest: Learning rate of the first step.
        highest: Learning rate of the last step.
        steps: Optimizer steps.
        output: Folder for the curve; null writes none.
    """

    lowest: PositiveFloat = 1e-6
    highest: PositiveFloat = 1.0
    steps: PositiveInt = 100
    output: str | None = "learning_rate"


def run(words: list[str]) -> int:
    """Run the test; print table and suggestion."""
    options, settings = own_options(Options, words)
    if value_of(settings, "ckpt") not in (None, "null"):
        raise UserError(
            "ckpt=... resumes a run, but detkit tune starts from initial weights: remove it; "
            "weights=RUN starts from the weights of a run."
        )
    training = new_training(settings)
    for line in [*training.notes, *(f"note: {line}" for line in lost_values(training.composed))]:
        print(line, file=sys.stderr)
    check_start(training.config)
    folder = output_folder(options["output"], Path(training.config["data"]["path"]))
    if folder is not None:
        make_folder(folder)
    log_to(None)
    limits = {name: options[name] for name in ("lowest", "highest", "steps")}
    with plain_worker_failures():
        result = range_test(with_batch_size(training.config), **limits)
    words_to_train = [word for word in settings if word.lstrip("+").partition("=")[0] != _RATE]
    print(_text(result, words_to_train))
    if folder is not None:
        print(_write(result, words_to_train, folder))
    return 0 if result.suggestion() is not None else 1


def _text(result: RangeTest, words: list[str]) -> str:
    """The table, and the suggestion with its rule."""
    smoothed, count = result.smoothed(), len(result.losses)
    shown = {round(row * (count - 1) / (_ROWS - 1)) for row in range(_ROWS)}
    rows = [["learning rate", "loss", "smoothed"]]
    for step in sorted(shown):
        rows.append([f"{result.rates[step]:.2g}", f"{result.losses[step]:.4g}"])
        rows[-1].append(f"{smoothed[step]:.4g}")
    ending = f"the loss diverged after {count} steps" if result.has_diverged else f"{count} steps"
    lines = [*align_columns(rows, range(3)), ""]
    lowest = result.lowest_step()
    lines.append(
        f"{ending}; lowest at {result.rates[lowest]:.2g} (smoothed loss {smoothed[lowest]:.4g})"
    )
    suggestion = result.suggestion()
    if suggestion is None:
        lines.append(
            "no suggestion: the loss does not fall by more than the noise of single steps; use "
            "more steps=, a larger data.batch_size, or other values of lowest= and highest="
        )
    else:
        lines += [f"suggestion: {suggestion:g}, {RULE}", f"  {_command(words, suggestion)}"]
    return "\n".join(lines)


def _command(words: list[str], rate: float) -> str:
    return shlex.join(["detkit", "train", *words, f"{_RATE}={rate:g}"])


def _write(result: RangeTest, words: list[str], folder: Path) -> str:
    """Write curve and picture; return their names."""
    suggestion = result.suggestion()
    command = None if suggestion is None else _command(words, suggestion)
    content: dict[str, Any] = {"command": command, **result.as_plain()}
    file, picture = folder / "learning_rate.json", folder / "learning_rate.png"
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")
    smoothed = result.smoothed().tolist()
    step = result.suggested_step()
    plot_rate_curve(result.rates, result.losses, smoothed, step, picture)
    return f"{file}, {picture}"
