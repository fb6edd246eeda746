"""Errors that a user can act on; the command line shows them without traceback, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What the user gave is wrong; says what came, what was expected and what to change."""


class ConfigError(UserError):
    """The configuration is wrong; holds one message per problem so that all are shown at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class DataError(UserError):
    """The data set cannot be used as it is."""


class Stopped(BaseException):
    """The user ended the command; what it had done so far is kept.

    Like KeyboardInterrupt it is no Exception, so that nothing on the way takes it for an error.

    Attributes:
        exit_code: 128 and the signal, as shells have it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that the user most probably meant, or None."""
    known = list(candidates)
    in_another_case = (candidate for candidate in known if candidate.lower() == name.lower())
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.55)
    return next(in_another_case, matches[0] if matches else None)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence that names the nearest candidate, or nothing."""
    match = nearest(name, candidates)
    return f" Did you mean '{match}'?" if match else ""
