"""The public API: each name of `detkit` and the module that defines it, imported on first use.

`import detkit` therefore takes milliseconds, and a program pays for PyTorch and Hydra when it
first loads or trains something.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

MODULES = {
    "Detector": "detkit.api.detector",
    "Result": "detkit.api.results",
    "load": "detkit.api.detector",
}


def import_name(name: str) -> Any:
    """Import the module of a public name and return what the name stands for."""
    return getattr(import_module(MODULES[name]), name)
