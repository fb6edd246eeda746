"""Build modules on the meta device, quickly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FILLING = {Tensor.copy_, Tensor.fill_, Tensor.normal_, Tensor.uniform_, Tensor.zero_}


@contextmanager
def on_meta() -> Iterator[None]:
    """Let modules be built without memory for their tensors, and without initial values.

    A tensor on the meta device has no values. Initialising it only costs time: more than a second
    the first time, because PyTorch then imports its compiler.
    """
    with torch.device("meta"), _WithoutValues():
        yield


class _WithoutValues(TorchFunctionMode):
    """Skips functions that fill a tensor on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, or return its tensor as it is."""
        named = kwargs or {}
        fills = func in _FILLING or getattr(func, "__module__", None) == "torch.nn.init"
        if fills:
            tensor = args[0] if args else named.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **named)
