"""The description of feature maps that their producer publishes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureSpec:
    """One feature level: its channels, and its stride in input pixels."""

    channels: int
    stride: int
