"""`detkit tune`: find settings by short trial trainings."""

from __future__ import annotations

from detkit.cli.main import VERBS
from detkit.cli.verbs import run_verb

HELP = """
usage: detkit tune learning_rate [KEY=VALUE ...]

  learning_rate    raise the learning rate step by step, and suggest the one to train with

  detkit tune learning_rate model=fcos data.path=DATA

`detkit tune learning_rate --help` explains it. data.batch_size=auto chooses the batch size at the
start of a training; detkit sweep searches over any setting.
"""


def run(arguments: list[str]) -> int:
    """Run the verb.

    Raises:
        UserError: There is no such verb.
    """
    return run_verb("tune", arguments, f"detkit tune {'|'.join(VERBS['tune'])} KEY=VALUE")
