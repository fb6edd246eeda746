"""Decide between selecting rows and masking them.

Selecting the few rows that matter, such as positives, is fastest on a CPU, but their number depends
on values: an accelerator's host would wait for it, and a graph would have no fixed shapes. There,
all rows are computed, and those that do not matter get zero weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_fixed_shapes: ContextVar[bool] = ContextVar("fixed_shapes", default=False)


def is_eager_cpu(tensor: Tensor) -> bool:
    """Whether shapes may depend on values: on a CPU, unless a graph is being captured."""
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    return tensor.device.type == "cpu" and not _fixed_shapes.get()


@contextmanager
def fixed_shapes() -> Iterator[None]:
    """Run the code of accelerators and graphs, also on a CPU in eager mode."""
    token = _fixed_shapes.set(True)
    try:
        yield
    finally:
        _fixed_shapes.reset(token)
