"""detkit: object detection composed in YAML.

    detector = detkit.load("runs/mine")
    results = detector.predict("photos")

`detkit.__all__` lists the public API; docs/python.md explains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detkit.errors import ConfigError, DataError, UserError, did_you_mean
from detkit.public_names import MODULES, import_name
from detkit.registry import Slot, Wired, register
from detkit.version import __version__

if TYPE_CHECKING:
    from detkit.api.detector import Detector, load
    from detkit.api.results import Result

__all__ = [
    "ConfigError",
    "DataError",
    "Detector",
    "Result",
    "Slot",
    "UserError",
    "Wired",
    "__version__",
    "load",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        hint = did_you_mean(name, __all__)
        raise AttributeError(f"module 'detkit' has no attribute '{name}'.{hint}")
    return import_name(name)


def __dir__() -> list[str]:
    return sorted(__all__)
