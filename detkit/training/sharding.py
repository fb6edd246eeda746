"""Divide the weights of a detector over the devices that train it (PyTorch's FSDP2).

Between two steps, each rank holds a part of every parameter, as a DTensor, and the same part of its
gradient and optimizer state. Buffers stay whole on each rank, as with DDP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from detkit.errors import UserError
from detkit.text import agree, listed

# Parts of a detector that `forward`, `loss` and `predict` call exactly once.
_PARTS = ("backbone", "neck")
_LEAST = 1_000_000  # weights of a block, so that small pieces are not sent one by one


def divide(detector: nn.Module, mesh: DeviceMesh) -> None:
    """Divide a detector's parameters over the ranks of a mesh, in place; call it on all of them.

    A piece is gathered, and its gradients are divided, as a whole. The pieces are each block of
    backbone and neck, the rest of either, and the rest of the detector. The gradients of a block
    are whole on a rank only until the previous block's are computed, so many blocks save
    memory. Heads belong to the rest of the detector: all ranks must gather the same pieces in the
    same order, and which modules a head calls may depend on the objects in a rank's images, while
    backbone and neck always run once. The rest of the detector is gathered when `loss` begins.

    Gathered weights stay on the device from the forward pass to the end of the backward pass
    (`reshard_after_forward=False`). Gathering them twice a step would save little: in between, a
    detector mostly needs memory for activations, and a validation has to hold all weights anyway,
    because ranks with different numbers of batches could not wait for each other.

    Args:
        detector: The detector on its training device; takes the values of rank 0.
        mesh: A mesh with one axis.

    Raises:
        UserError: A parameter has no axis along which to divide it.
    """
    _require_axes(detector)
    with torch.no_grad():
        for value in (*detector.parameters(), *detector.buffers()):
            torch.distributed.broadcast(value, src=0, group=mesh.get_group())
    for piece in (*pieces_of(detector), detector):
        if next(piece.parameters(), None) is not None:
            fully_shard(piece, mesh=mesh, reshard_after_forward=False)
    # `predict` only runs on weights that `gather_weights` has gathered: as a forward method it
    # would divide them again where it calls the detector's own `forward`.
    register_fsdp_forward_method(detector, "loss")


def pieces_of(detector: nn.Module) -> list[nn.Module]:
    """Modules that are gathered as a whole, inner ones first, except the rest of the detector."""
    parts = [part for name, part in detector.named_children() if name in _PARTS]
    return list(dict.fromkeys([block for part in parts for block in (*blocks_of(part), part)]))


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The outermost large modules of a network's sequences and lists.

    These are called when the network runs: the members of its sequences and lists, at any depth,
    that are not sequences or lists themselves.
    """
    blocks: list[nn.Module] = []
    for child in network.children():
        is_row = isinstance(child, nn.Sequential | nn.ModuleList)
        if is_row or not isinstance(network, nn.Sequential | nn.ModuleList):
            blocks += blocks_of(child)
        elif sum(parameter.numel() for parameter in child.parameters()) >= _LEAST:
            blocks.append(child)
    return blocks


def is_divided(module: nn.Module) -> bool:
    """Whether a detector's weights are divided."""
    return isinstance(module, FSDPModule)


def gather_weights(module: nn.Module) -> None:
    """Gather all weights of a divided module on each rank until `divide_again`.

    After one call of `loss`, calls of `predict` then wait for no other rank. Call it on all ranks;
    does nothing if the weights are not divided.
    """
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.unshard()


def divide_again(module: nn.Module) -> None:
    """Keep only this rank's part of the weights; does nothing if they are not divided."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


@contextlib.contextmanager
def on_its_own(module: nn.Module) -> Iterator[None]:
    """Let each rank compute losses and gradients with all weights, independently of other ranks."""
    gather_weights(module)
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(True)
        divide_again(module)


def unreached(loss: Tensor, module: nn.Module) -> list[str]:
    """The trainable parameters that get no gradient from a loss, by name.

    Searches the graph before the backward pass, in 0.5 ms for a Faster R-CNN with 480 nodes. If the
    ranks had gradients of different parameters, dividing them would add unrelated values. Call it
    on all ranks, before the backward pass of `loss`.
    """
    gather_weights(module)  # autograd only knows the gathered ones
    trainable = {
        id(value): name for name, value in module.named_parameters() if value.requires_grad
    }
    seen: set[Any] = set()
    waiting: list[Any] = [loss.grad_fn]
    while waiting and trainable:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        trainable.pop(id(getattr(node, "variable", None)), None)  # only nodes of leaves have one
        waiting += [following for following, _ in node.next_functions]
    return list(trainable.values())


def part_of(value: Tensor) -> Tensor:
    """This rank's part of a tensor, sharing its memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def whole(value: Tensor) -> Tensor:
    """The whole tensor on each rank; call it on all of them."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def gathered(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Gather divided tensors whole on the CPU, one after the other; call it on all ranks.

    Args:
        tensors: Tensors by name; the same names on all ranks.
        keep: Whether this rank keeps the result; the others get an empty one.
    """
    result = {}
    for name, value in tensors.items():
        tensor = whole(value)
        if keep:
            result[name] = tensor.cpu() if isinstance(value, DTensor) else tensor
    return result


def divided_like(value: Tensor, model: Tensor) -> Tensor:
    """Move a whole tensor to the device of another and divide it alike; call it on all ranks."""
    if not isinstance(model, DTensor):
        return value.to(model.device)
    moved = value.detach().to(model.device)
    return distribute_tensor(moved, model.device_mesh, model.placements)


def _require_axes(detector: nn.Module) -> None:
    without = [name for name, value in detector.named_parameters() if value.ndim == 0]
    if without:
        raise UserError(
            f"trainer.strategy=fsdp divides each parameter along its first axis, and "
            f"{listed(without)} {agree(len(without), 'has', 'have')} none: make it "
            "torch.ones(1) instead of torch.tensor(1.0), or use trainer.strategy=ddp."
        )
