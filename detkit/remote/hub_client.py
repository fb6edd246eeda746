"""The client of the Hugging Face hub, and its errors in one line."""

from __future__ import annotations

import importlib
import os
from typing import Any

from detkit.errors import UserError


def client(key: str) -> Any:
    """The package `huggingface_hub`, which takes half a second to import.

    Args:
        key: The configuration key and its value, for the message.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise UserError(
            f"{key}: needs the package huggingface_hub, which is not installed: pip install "
            "huggingface_hub."
        ) from error


def endpoint() -> str | None:
    """The address of another hub, read when needed: the client reads it once, when imported."""
    return os.environ.get("HF_ENDPOINT")


def about_error(error: Exception) -> str:
    """The first line of an error of the client."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def is_refusal(error: Exception, repository: str, revision: str | None) -> str | None:
    """The explanation of an error that a connection does not cure, or None.

    Args:
        error: The client's error.
        repository: OWNER/NAME.
        revision: The requested revision.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repository} on the Hugging Face hub is gated: ask for access on its page, and log "
            "in with `hf auth login` or set HF_TOKEN."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no repository {repository} on the Hugging Face hub that you may read: check "
            "the name; for a private one, log in with `hf auth login` or set HF_TOKEN."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} on the Hugging Face hub has no revision '{revision}': check the name."
    if isinstance(error, errors.HFValidationError):
        return about_error(error)
    return None
