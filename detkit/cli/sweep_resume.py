"""`detkit sweep resume`: resume an interrupted sweep."""

from __future__ import annotations

from pathlib import Path

from detkit.cli import train
from detkit.cli.flags import without
from detkit.cli.multirun import show_messages, tell_end
from detkit.config import plugins
from detkit.config.overrides import listed_plugins, parse
from detkit.config.sweep_options import read_device_pool
from detkit.errors import UserError
from detkit.sweeps.jobs.run_jobs import resume
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.sweeps.search.search_words import is_search, words_to_resume

HELP = """
usage: detkit sweep resume DIR [--failed] [hydra.launcher.KEY=VALUE ...]

Resumes a sweep after Ctrl-C, a kill or a power cut: keeps finished jobs, resumes unfinished ones
from their last checkpoint, and starts waiting ones. Several processes may do so at once, also on
several machines that share DIR; each job runs in one of them.

  detkit sweep resume runs/SWEEP
  detkit sweep resume runs/SWEEP --failed         also repeat failed jobs
  detkit sweep resume runs/SWEEP hydra.launcher.jobs_per_device=2
  detkit sweep resume runs/SEARCH hydra.sweeper.trials=40      a search: more trials

The launcher's settings come from the first start; this command line overrides them. Allow
the jobs' plugins with plugins=[...], as everywhere.
"""
_PREFIX = "hydra.launcher."
_OF_SEARCHES = "hydra.sweeper.trials="


def run(arguments: list[str]) -> int:
    """Resume a sweep; return 1 if a job failed.

    Raises:
        UserError: There is no sweep, or a word is not understood.
    """
    words, flags = without(arguments, "--failed")
    resumes_search = any(is_search(Path(word)) for word in words)
    prefixes = (_PREFIX, _OF_SEARCHES) if resumes_search else (_PREFIX,)
    settings = [word for word in words if word.lstrip("+").startswith(prefixes)]
    allowed = [word for word in words if word.startswith("plugins=")]
    folders = [word for word in words if word not in (*settings, *allowed)]
    if len(folders) != 1:
        problem = f"got {' '.join(folders)}" if folders else "none is given"
        raise UserError(
            f"detkit sweep resume takes one folder, --failed and {_PREFIX}KEY=VALUE; {problem}. "
            "The configuration of its jobs cannot be changed."
        )
    show_messages()
    plugins.load(listed_plugins(allowed))
    if (search := words_to_resume(Path(folders[0]))) is not None:
        if flags:
            raise UserError(
                "--failed: a search repeats no trial; hydra.sweeper.trials=N adds more."
            )
        return train.run(["-m", *search, *settings, *allowed])
    folder = SweepFolder.open(Path(folders[0]))
    options = dict(folder.launcher)
    for word in settings:
        override = parse(word)
        options[override.key_or_group.removeprefix(_PREFIX)] = override.value()
    resume(folder.path, read_device_pool(options, settings), "--failed" in flags)
    return tell_end(folder.path)
