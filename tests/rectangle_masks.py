"""Objects with masks, for tests that need some and check none."""

from __future__ import annotations

from dataclasses import replace

from detkit.structures import Outlines, Target


def with_rectangles(target: Target) -> Target:
    """The same objects with masks that fill their boxes."""
    corners = target.boxes.double().numpy()[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return replace(target, outlines=Outlines.of([[ring] for ring in corners]))
