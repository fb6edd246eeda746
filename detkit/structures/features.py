"""What a producer of feature maps tells its consumers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureSpec:
    """One feature level: its channels, and its stride in input pixels."""

    channels: int
    stride: int
