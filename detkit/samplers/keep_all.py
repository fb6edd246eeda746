"""No sampling."""

from __future__ import annotations

from torch import Tensor

from detkit.registry import register
from detkit.structures import IGNORED


@register("sampler", "keep_all")
class KeepAll:
    """Every prior counts that is not ignored: for losses that weigh easy ones down themselves."""

    uses_losses = False

    def __call__(self, matched: Tensor, losses: Tensor) -> Tensor:
        """A mask of the shape of `matched`."""
        return matched != IGNORED
