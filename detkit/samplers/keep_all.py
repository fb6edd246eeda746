"""No sampling."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from detkit.registry import register
from detkit.structures import IGNORED


@register("sampler", "keep_all")
class KeepAll:
    """Every prior that is not ignored: for losses that down-weight easy priors themselves."""

    ranks_by: ClassVar = "nothing"

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """A mask of the shape of `matched`."""
        return matched != IGNORED
