"""detkit: object detection composed in YAML."""

from detkit.registry import Slot, Wired, register

__version__ = "0.1.0"
__all__ = ["Slot", "Wired", "__version__", "register"]
