"""Joint output layers of YOLO networks, split into detkit's separate layers."""

from __future__ import annotations

from torch import Tensor

_BOX_VALUES = 5  # four box codes and the objectness


def separate_outputs(level: int, rows: Tensor, priors: int, kind: str) -> dict[str, Tensor]:
    """Split rows for the box, objectness and classes of each prior into separate layers.

    Args:
        level: The level of the head.
        rows: (A * (5 + C), ...), ordered by prior.
        priors: A.
        kind: `weight` or `bias`.
    """
    by_prior = rows.view(priors, -1, *rows.shape[1:])
    parts = {
        "box": by_prior[:, : _BOX_VALUES - 1],
        "quality": by_prior[:, _BOX_VALUES - 1 : _BOX_VALUES],
        "class": by_prior[:, _BOX_VALUES:],
    }
    return {
        f"head.layers.{name}_layers.{level}.{kind}": part.flatten(0, 1)
        for name, part in parts.items()
    }
