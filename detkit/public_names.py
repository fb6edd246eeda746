"""The public API: each name of `detkit` and the module that defines it, imported on first use.

`import detkit` therefore takes milliseconds, and a program pays for PyTorch and Hydra when it
first loads or trains something.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from detkit.errors import without_dependencies

MODULES = {
    "Config": "detkit.api.configuration",
    "Detector": "detkit.api.detector",
    "Result": "detkit.api.results",
    "Run": "detkit.api.run",
    "build": "detkit.api.training",
    "compose": "detkit.api.configuration",
    "evaluate_backend": "detkit.api.view_evaluation",
    "evaluate_exported": "detkit.api.exported_evaluation",
    "exported_config": "detkit.api.exported_evaluation",
    "load": "detkit.api.loading",
    "load_data": "detkit.api.training",
    "open_run": "detkit.api.run_backend",
    "train": "detkit.api.training",
}


def import_name(name: str) -> Any:
    """Import the module of a public name and return the object."""
    try:
        module = import_module(MODULES[name])
    except ModuleNotFoundError as error:
        raise without_dependencies(error, f"detkit.{name}") or error from error
    return getattr(module, name)
