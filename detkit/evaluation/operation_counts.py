"""The cost of a detector: operations, priors, and the memory that a training step needs.

Everything is counted from shapes, so a detector on the meta device, without memory for weights and
without computations, gives the same numbers as a real one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from detkit.interfaces import PriorGenerator
from detkit.ops.input_channels import input_channels

# Operations that autocast runs in 16 bits: matrix products and convolutions.
_PRODUCTS = {
    *(torch.conv1d, torch.conv2d, torch.conv3d),
    *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
    *(functional.linear, functional.scaled_dot_product_attention),
    *(torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.addbmm, torch.baddbmm),
    *(Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm),
}


def operations(run: Callable[[], Any]) -> int:
    """Multiplications and additions in convolutions and matrix products during `run`."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        run()
    return int(counter.get_total_flops())


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of the memory of tensors; shared memory counts once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def saved_bytes(run: Callable[[], Any], weights: Iterable[Tensor]) -> int:
    """Bytes that autograd saves for the backward pass during `run`.

    Args:
        run: A forward pass, preferably with its losses.
        weights: Parameters and buffers, which are not counted.
    """
    there = {tensor.untyped_storage()._cdata for tensor in weights}
    held: list[Tensor] = []  # keeps them alive, as freed memory may be reused for another tensor

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in there:
            held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return size_of(held)


class HalfProducts(TorchFunctionMode):
    """Runs matrix products in 16 bits like autocast, which does not support the meta device.

    As there, the copy of a parameter is made once and serves all levels of a pyramid. That
    `saved_bytes` is what real autocast gives is tested.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        """Take bfloat16 or float16."""
        super().__init__()
        self._dtype = dtype
        self._copies: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; matrix products get their float32 tensors in 16 bits."""
        named = kwargs or {}
        if func in _PRODUCTS:
            args = tuple(self._cast(value) for value in args)
            named = {name: self._cast(value) for name, value in named.items()}
        return func(*args, **named)

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not isinstance(value, nn.Parameter):
            return value.to(self._dtype)
        if id(value) not in self._copies:
            self._copies[id(value)] = value.to(self._dtype)
        return self._copies[id(value)]


@torch.no_grad()
def predictions_by_level(
    detector: nn.Module, head: nn.Module, size: tuple[int, int]
) -> list[int] | None:
    """Count the priors of each level, or the queries of a head without priors.

    Args:
        detector: A detector on the meta device.
        head: Its head or proposer.
        size: Height and width of the image.

    Returns:
        The counts, from the feature maps of a real forward pass; None for a head with neither, and
        for a proposer without layers its regions.

    Raises:
        UserError: The priors take no such images.
    """
    if not hasattr(head, "priors"):
        count = getattr(head, "queries", getattr(head, "region_count", None))
        return [count] if isinstance(count, int) else None
    priors = cast(PriorGenerator, head.priors)
    with torch.device("meta") as meta:
        backbone, neck = (detector.get_submodule(name) for name in ("backbone", "neck"))
        maps = neck(backbone(torch.empty(1, input_channels(detector), *size)))
        sizes = [(level.shape[-2], level.shape[-1]) for level in maps]
        priors(sizes, meta)  # which refuses sizes that it does not fit
    return [math.prod(cells) * count for cells, count in zip(sizes, priors.per_cell, strict=True)]
