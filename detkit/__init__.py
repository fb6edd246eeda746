"""detkit: object detection composed in YAML."""

from detkit.registry import Slot, Wired, register
from detkit.version import __version__

__all__ = ["Slot", "Wired", "__version__", "register"]
