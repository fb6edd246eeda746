"""No sampling."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from detkit.registry import register
from detkit.structures import IGNORED


@register("sampler", "keep_all")
class KeepAll:
    """Every prior counts that is not ignored: for losses that weigh easy ones down themselves."""

    ranks_by: ClassVar = "nothing"

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """A mask of the shape of `matched`."""
        return matched != IGNORED
