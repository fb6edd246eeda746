"""Settings of an earlier run for a new one: `settings=RUN`, and what `weights=RUN` leaves out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from detkit.cli.run_record import read_run
from detkit.config.difference import Difference, differences
from detkit.config.pages import CHECKPOINT
from detkit.errors import UserError

KEY = "settings"
# What a new run takes from an earlier one: all but where it wrote, what it began from, its plugins.
BLOCKS = (
    *("data", "augmentation", "optimizer", "scheduler", "trainer", "metric", "callbacks"),
    "logger",
)
_PLAIN = ("image_size", "seed")
_COMPARED = ("image_size", "augmentation", "optimizer", "scheduler", "data", "trainer")
_OWN = ("data.path", "data.reader")  # of another data set
MOST_LINES = 8


def with_settings(place: str, words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The words that take a run's settings, and those settings.

    Args:
        place: A run folder, a config.yaml or a checkpoint.
        words: The command line's, without `settings=`; what they set is stronger.

    Raises:
        UserError: The run cannot be read, or a page of a whole training is named beside it.
    """
    pages = [word for word in words if re.match(r"\+*(experiment|sweep)=(?!null)", word)]
    if pages:
        raise UserError(
            f"{KEY}={place} {pages[0]}: both choose a whole training: remove one of them."
        )
    config = read_run(place, KEY).config
    stored = {key: config[key] for key in ("model", *BLOCKS, *_PLAIN) if config.get(key)}
    keys = {word.lstrip("+~").partition("=")[0] for word in words}
    chosen = [f"{key}={CHECKPOINT}" for key in BLOCKS if key in stored and key not in keys]
    if "seed" in config and "seed" not in keys:
        chosen.append(f"seed={config['seed']}")
    if "run_name" in config and "run_name" not in keys:
        chosen.append(f"run_name={config['run_name']}")
    return [*words, *chosen], stored


def not_taken(place: str, stored: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Lines that name the settings in which a new run from a run's weights differs from that run.

    Args:
        place: What `weights=` names.
        stored: The run's configuration, as much of it as its weights carry.
        config: The new run's.
    """
    known = [key for key in _COMPARED if key in stored and key in config]
    found = [
        difference
        for key in known
        for difference in differences(stored[key], config[key], key)
        if not any(_is_under(difference, own) for own in _OWN)
    ]
    if not found:
        return []
    lines = [f"weights={place} takes only the model; these settings differ from that run:"]
    lines += [f"  {difference}" for difference in found[:MOST_LINES]]
    if len(found) > MOST_LINES:
        lines.append(f"  ... and {len(found) - MOST_LINES} more")
    return [*lines, f"{KEY}={place} takes all its settings."]


def _is_under(difference: Difference, path: str) -> bool:
    return difference.path == path or difference.path.startswith(f"{path}.")
