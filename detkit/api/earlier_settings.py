"""Settings of an earlier run: `settings=RUN` takes them, `weights=RUN` reports the changed ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from detkit.config.difference import Difference, differences
from detkit.config.pages import CHECKPOINT
from detkit.errors import UserError
from detkit.runs.run_record import read_run

KEY = "settings"
# What a new run takes from an earlier one: all but its folder, its starting weights, its plugins.
BLOCKS = (
    *("data", "augmentation", "optimizer", "scheduler", "trainer", "metric", "callbacks"),
    "logger",
)
_PLAIN = ("image_size", "seed")
_COMPARED = ("image_size", "augmentation", "optimizer", "scheduler", "data", "trainer")
_OF_DATA_SET = ("data.path", "data.reader")  # differ for every data set
MOST_LINES = 8


def with_settings(source: str, words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Overrides that take a run's settings, and the settings.

    Args:
        source: A run folder, a config.yaml or a checkpoint.
        words: The overrides of the command line, without `settings=`; they take precedence.

    Raises:
        UserError: The run cannot be read, or the words also name a page of a whole training.
    """
    pages = [word for word in words if re.match(r"\+*(experiment|sweep)=(?!null)", word)]
    if pages:
        raise UserError(
            f"{KEY}={source} {pages[0]}: both choose a whole training: remove one of them."
        )
    config = read_run(source, KEY).config
    stored = {key: config[key] for key in ("model", *BLOCKS, *_PLAIN) if config.get(key)}
    keys = {word.lstrip("+~").partition("=")[0] for word in words}
    choices = [f"{key}={CHECKPOINT}" for key in BLOCKS if key in stored and key not in keys]
    if "seed" in config and "seed" not in keys:
        choices.append(f"seed={config['seed']}")
    if "run_name" in config and "run_name" not in keys:
        choices.append(f"run_name={config['run_name']}")
    return [*words, *choices], stored


def changed_settings(
    source: str, stored: Mapping[str, Any], config: Mapping[str, Any]
) -> list[str]:
    """List the settings in which a new run differs from the run of its weights.

    Args:
        source: The value of `weights=`.
        stored: The earlier run's configuration, as far as the weights file holds it.
        config: The new run's configuration.
    """
    shared = [key for key in _COMPARED if key in stored and key in config]
    changed = [
        difference
        for key in shared
        for difference in differences(stored[key], config[key], key)
        if not any(_is_under(difference, path) for path in _OF_DATA_SET)
    ]
    if not changed:
        return []
    lines = [f"weights={source} takes only the model; these settings differ from that run:"]
    lines += [f"  {difference}" for difference in changed[:MOST_LINES]]
    if len(changed) > MOST_LINES:
        lines.append(f"  ... and {len(changed) - MOST_LINES} more")
    return [*lines, f"{KEY}={source} takes all its settings."]


def _is_under(difference: Difference, path: str) -> bool:
    return difference.path == path or difference.path.startswith(f"{path}.")
