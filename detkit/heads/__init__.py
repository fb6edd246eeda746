"""Heads turn features into losses and detections."""

from detkit.heads.dense import DenseHead
from detkit.heads.towers import Towers

__all__ = ["DenseHead", "Towers"]
