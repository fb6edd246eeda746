"""Constructors that list each argument with its type, so that configurations can be checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from detkit.errors import UserError


def require_explicit_arguments(factory: Callable[..., Any], description: str) -> None:
    """Refuse a part whose constructor hides arguments or leaves out a type.

    Args:
        factory: The class, or the function that builds the part.
        description: The part, to begin the message with.

    Raises:
        UserError: An argument is `*args` or `**kwargs`, or has no annotation.
    """
    for parameter in inspect.signature(factory).parameters.values():
        subject = f"{description}: argument '{parameter.name}'"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UserError(
                f"{subject} hides arguments: list each one so that detkit can check configurations."
            )
        if parameter.annotation is parameter.empty:
            raise UserError(
                f"{subject} has no type: annotate it so that detkit can check configurations."
            )
