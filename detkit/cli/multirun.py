"""`detkit train -m` and `detkit sweep`: preparation and summary around Hydra's multirun."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from detkit.api.earlier_settings import KEY as SETTINGS
from detkit.cli.flags import without
from detkit.config import compose, hydra_app
from detkit.config.flags import split_flags
from detkit.config.override_text import value_of
from detkit.config.sweep_jobs import check_jobs, multirun
from detkit.config.sweep_options import DEVICE_POOL, LISTED
from detkit.errors import UserError
from detkit.sweeps.hydra_classes import publish_classes
from detkit.sweeps.jobs.job import JobFailedError
from detkit.sweeps.jobs.sweep_folder import FILE, SweepFolder
from detkit.sweeps.results.sweep_summary import summary_lines
from detkit.sweeps.search.search_words import is_search
from detkit.terminal import TerminalHandler

SKIP_BAD = "--skip-bad"
MULTIRUN = ("-m", "--multirun")


def run(arguments: list[str], task: Callable[[DictConfig], Any]) -> int:
    """Run a sweep and print the results of its jobs; return 1 if one failed.

    Args:
        arguments: The words, with Hydra's flag for a multirun among them.
        task: The function that a job runs under other launchers than detkit's.

    Raises:
        ConfigError: The words are wrong, or a job could not run; none was started.
        Stopped: Ctrl-C or SIGTERM came.
    """
    if value_of(arguments, SETTINGS):
        raise UserError(f"{SETTINGS}=RUN starts one run: remove it, or Hydra's flags.")
    arguments, flags = without(arguments, SKIP_BAD)
    if flags:
        arguments = [*arguments, "hydra.launcher.skip_bad=true"]
    publish_classes()
    hydra_flags, words = split_flags(arguments)
    if any(flag not in MULTIRUN for flag in hydra_flags):  # it shows something, and runs nothing
        hydra_app.run("train", arguments, task)
        return 0
    show_messages()
    prepared = compose.prepare(words)
    outcome = multirun("train", prepared)
    # The folder as a word, since its name has the time in it, and has to be known here.
    quoted = outcome.folder.replace("\\", "\\\\").replace("'", "\\'")
    arguments = [*arguments, f"hydra.sweep.dir='{quoted}'"]
    # detkit's own launcher and sweeper check all jobs themselves
    if (outcome.launcher, outcome.sweeper) != (DEVICE_POOL, LISTED):
        check_jobs("train", prepared)
    try:
        hydra_app.run("train", arguments, task)
    except JobFailedError:  # from a search or another sweeper; details were printed
        return max(tell_end(Path(outcome.folder)), 1)
    return tell_end(Path(outcome.folder)) if (Path(outcome.folder) / FILE).is_file() else 0


def tell_end(path: Path) -> int:
    """Print the results of a sweep's jobs; return 1 if one failed."""
    folder = SweepFolder.open(path)
    if is_search(path):  # which has told its trials by itself
        print(f"numbers, curves, effects of the keys: detkit sweep table {shlex.quote(str(path))}")
    else:
        print("\n".join(summary_lines(folder)))
    return int(any(job.state == "failed" for job in folder.load()))


def show_messages() -> None:
    """Show on the terminal what sweeps say while they run."""
    log = logging.getLogger("detkit.sweeps")
    log.handlers = [TerminalHandler()]
    log.setLevel(logging.INFO)
    log.propagate = False
