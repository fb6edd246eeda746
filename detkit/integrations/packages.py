"""The packages of the adapters, or one line that says how to install them."""

from __future__ import annotations

import os

from detkit.api.detector import Detector
from detkit.api.loading import load
from detkit.errors import UserError


def missing_package(extra: str, error: ImportError) -> UserError:
    """The error of an adapter whose library cannot be imported.

    Args:
        extra: The extra of detkit that installs it.
        error: What Python raised.
    """
    return UserError(
        f"this adapter needs a package that cannot be imported ({error}): "
        f'pip install "detkit[{extra}]".'
    )


def opened(source: str | os.PathLike[str] | Detector, device: str) -> Detector:
    """A detector, loaded unless the source is one already.

    Args:
        source: What `detkit.load` takes, or a detector.
        device: The device to load it on.
    """
    return source if isinstance(source, Detector) else load(source, device=device)
