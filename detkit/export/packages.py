"""Packages that only exporters need."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from detkit.errors import UserError


def require_packages(exporter: str, packages: Iterable[str], extra: str) -> None:
    """Refuse an export whose packages are missing, before any work starts.

    Args:
        exporter: The exporter's name.
        packages: The modules that it imports.
        extra: The extra of detkit that installs them.

    Raises:
        UserError: A package is missing.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UserError(
            f"format={exporter} needs {', '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed: run pip install "
            f"'detkit[{extra}]'."
        )
