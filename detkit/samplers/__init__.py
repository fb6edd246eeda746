"""Which priors count in the loss."""

from detkit.samplers.balanced import RandomBalanced
from detkit.samplers.keep_all import KeepAll

__all__ = ["KeepAll", "RandomBalanced"]
