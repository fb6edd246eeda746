"""Commands that need a verb: `detkit data check`, `detkit plugin new`."""

from __future__ import annotations

import importlib

from detkit.cli.main import VERBS
from detkit.errors import UserError, did_you_mean


def run_verb(command: str, arguments: list[str], usage: str) -> int:
    """Run the module of a verb, `detkit.cli.COMMAND_VERB`, with the words after it.

    Raises:
        UserError: There is no such verb; the message ends with the usage.
    """
    verb = arguments[0] if arguments else ""
    verbs = VERBS[command]
    if verb not in verbs:
        problem = (
            f"there is no 'detkit {command} {verb}'."
            if verb
            else f"'detkit {command}' needs a verb."
        )
        raise UserError(f"{problem}{did_you_mean(verb, verbs)} Write {usage}.")
    code: int = importlib.import_module(f"detkit.cli.{command}_{verb}").run(arguments[1:]) or 0
    return code
