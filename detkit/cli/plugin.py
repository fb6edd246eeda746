"""`detkit plugin`: write a part of your own and check it against its family's contract."""

from __future__ import annotations

from detkit.cli.verbs import run_verb

HELP = """
usage: detkit plugin new FAMILY NAME [--package]
       detkit plugin check PATH|NAME [KEY=VALUE ...]

  new     write a working plugin: a part, an experiment page, a test and a README
  check   run the family's tests on a part, the same tests that detkit's own parts pass

  detkit plugin new neck my_neck
  detkit plugin check neck/my_neck

`detkit plugin new --help` explains each.
"""


def run(arguments: list[str]) -> int:
    """Run the verb.

    Raises:
        UserError: There is no such verb.
    """
    return run_verb(
        "plugin", arguments, "detkit plugin new FAMILY NAME, or detkit plugin check NAME"
    )
