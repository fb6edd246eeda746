"""detkit: object detection composed in YAML.

    detector = detkit.load("runs/mine")
    results = detector.predict("photos")

`detkit.__all__` lists the public API; docs/python.md explains it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detkit.errors import ConfigError, DataError, UserError, did_you_mean
from detkit.public_names import MODULES, import_name
from detkit.registry import Slot, Wired, register
from detkit.version import __version__

if TYPE_CHECKING:
    from detkit.api.configuration import Config, compose
    from detkit.api.detector import Detector
    from detkit.api.loading import load
    from detkit.api.results import Result
    from detkit.api.run import Run
    from detkit.api.training import build, train
    from detkit.api.training import load_data as data

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "Detector",
    "Result",
    "Run",
    "Slot",
    "UserError",
    "Wired",
    "__version__",
    "build",
    "compose",
    "data",
    "load",
    "register",
    "train",
]


if not TYPE_CHECKING:  # or type checkers would accept every name

    def __getattr__(name: str) -> Any:
        if name == "data":  # a package that can be called
            return import_module("detkit.data")
        if name not in MODULES:
            hint = did_you_mean(name, __all__)
            raise AttributeError(f"module 'detkit' has no attribute '{name}'.{hint}")
        return import_name(name)


def __dir__() -> list[str]:
    return sorted(__all__)
