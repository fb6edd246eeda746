"""Which candidates of an image may suppress each other."""

from __future__ import annotations

import torch
from torch import Tensor


def groups_of(labels: Tensor, class_agnostic: bool) -> Tensor:
    """(B, K) group numbers; only candidates of the same group suppress each other."""
    return torch.zeros_like(labels) if class_agnostic else labels
