"""`detkit plugin`: write a part of your own, and check it against the contract of its family."""

from __future__ import annotations

import importlib

from detkit.cli.main import VERBS
from detkit.errors import UserError, did_you_mean

HELP = """
usage: detkit plugin new FAMILY NAME [--package]
       detkit plugin check PATH|NAME [KEY=VALUE ...]

  new     write a working plugin: a part, an experiment page, a test and a README
  check   run the tests of its family on a part, the same that detkit's own parts pass

  detkit plugin new neck my_neck
  detkit plugin check neck/my_neck

`detkit plugin new --help` explains each.
"""


def run(arguments: list[str]) -> int:
    """Hand the words to the module of the verb.

    Raises:
        UserError: There is no such verb.
    """
    verb = arguments[0] if arguments else ""
    verbs = VERBS["plugin"]
    if verb not in verbs:
        said = f"there is no 'detkit plugin {verb}'." if verb else "'detkit plugin' needs a verb."
        raise UserError(
            f"{said}{did_you_mean(verb, verbs)} Write detkit plugin new FAMILY NAME, or "
            "detkit plugin check NAME."
        )
    code: int = importlib.import_module(f"detkit.cli.plugin_{verb}").run(arguments[1:]) or 0
    return code
