"""`detkit data`: check, convert, summarise and show data sets; propose regions."""

from __future__ import annotations

from detkit.cli.data_keys import errors_with_own_keys
from detkit.cli.main import VERBS
from detkit.cli.verbs import run_verb

HELP = """
usage: detkit data check|convert|stats|anchors|show|propose PATH [KEY=VALUE ...]

  check      find problems in a data set; exit code 1 if training would suffer
  convert    write a data set in another format
  stats      statistics and plots of images, boxes and classes
  anchors    widths and heights of anchors that fit the boxes
  show       pictures of what the detector sees in training, augmented
  propose    write regions that may hold an object into a file

  detkit data check DATA
  detkit data stats DATA output=stats

`detkit data check --help` explains each.
"""


def run(arguments: list[str]) -> int:
    """Run the verb.

    Raises:
        UserError: There is no such verb.
    """
    with errors_with_own_keys(next(iter(arguments), "")):
        return run_verb("data", arguments, f"detkit data {'|'.join(VERBS['data'])} PATH")
