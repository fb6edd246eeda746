"""Sizes, parameters, operations, connections and receptive fields of each layer of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from detkit.network_summary.field_rules import carry
from detkit.network_summary.operation_call import Call
from detkit.network_summary.pixel_fields import PixelFields
from detkit.ops.input_channels import input_channels

IMAGES = "images"
_LARGER_SIDES = (1024, 2048, 4096)  # of images in which large receptive fields fit
_WEIGHTED = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1, "convolution": 0}  # 1: adds a bias
_CONVOLUTION_BIAS = 2  # its position among the arguments


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that a unit of a layer depends on.

    Attributes:
        height: Rows.
        width: Columns.
        is_cut_off: Whether the largest image that was tried still cuts it off.
    """

    height: int
    width: int
    is_cut_off: bool = False


@dataclass
class Layer:
    """A module and everything inside it.

    Attributes:
        name: Its dotted name; empty for the whole network.
        kind: Its class.
        parameters: Parameters, each counted once.
        operations: Multiplications and additions in convolutions and matrix products.
        connections: Pairs of values that a weight connects; a bias counts as an input.
        outputs: The shape of each tensor that it returned, call by call, without the batch.
        fields: The largest receptive field of the units of each output; None without pixels.
        inputs: The layers whose results it reads.
        is_unused: Whether it did not run, and nothing read its parameters.
    """

    name: str
    kind: str
    parameters: int
    operations: int = 0
    connections: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    fields: list[ReceptiveField | None] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    is_unused: bool = False

    @property
    def depth(self) -> int:
        """How many modules it is inside."""
        return self.name.count(".") + 1 if self.name else 0


def layers_of(
    network: nn.Module, run: Callable[[Tensor], object], size: tuple[int, int]
) -> list[Layer]:
    """Every module that runs or has parameters, in the order of the network's definition.

    The receptive field of a unit is the smallest rectangle of pixels that it depends on through
    convolutions, poolings and the like, whatever the weights. Statistics of norms do not count,
    and deformable convolutions count as if not deformed. Where an image of this size cuts a field
    off, larger images show all of it.

    Args:
        network: A network on the meta device.
        run: Runs it on images (1, 3, H, W) on the meta device.
        size: Height and width of the image whose outputs and operations are counted.
    """
    trace = _traced(network, run, size)
    layers = [_layer(name, module, trace) for name, module in network.named_modules()]
    layers = [layer for layer in layers if layer.parameters or layer.outputs]
    fields = _complete_fields(network, run, trace)
    for layer in layers:
        layer.fields = fields.get(layer.name, [])
    return layers


def _layer(name: str, module: nn.Module, trace: _Trace) -> Layer:
    inner = [other for other in trace.names if _is_inside(other, name)]
    parameters, outputs = [*module.parameters()], trace.outputs.get(name, [])
    return Layer(
        name=name,
        kind=type(module).__name__,
        parameters=sum(parameter.numel() for parameter in parameters),
        operations=sum(trace.operations[other] for other in inner),
        connections=sum(trace.connections[other] for other in inner),
        outputs=[shape for shape, _ in outputs],
        inputs=sorted(trace.inputs.get(name, set())),
        is_unused=not outputs and trace.used.isdisjoint(map(id, parameters)),
    )


def _is_inside(name: str, outer: str) -> bool:
    return not outer or name == outer or name.startswith(f"{outer}.")


def _complete_fields(
    network: nn.Module, run: Callable[[Tensor], object], trace: _Trace
) -> dict[str, list[ReceptiveField | None]]:
    """The fields of each layer's outputs, from larger images where one cuts them off."""
    side = max(trace.size)
    results = {name: _fields(outputs, trace.size) for name, outputs in trace.outputs.items()}
    for larger in (length for length in _LARGER_SIDES if length > side):
        if not any(f is not None and f.is_cut_off for fields in results.values() for f in fields):
            break
        size = (larger, larger)
        try:
            again = _traced(network, run, size)
        except Exception:  # it takes images of one size only
            break
        for name, outputs in again.outputs.items():
            if all(f is None or f.exact for _, f in outputs):
                results[name] = _fields(outputs, size)
    return results


def _fields(
    outputs: Iterable[tuple[tuple[int, ...], PixelFields | None]], size: tuple[int, int]
) -> list[ReceptiveField | None]:
    results: list[ReceptiveField | None] = []
    for _, fields in outputs:
        if fields is None:
            results.append(None)
            continue
        height, width, is_cut_off = fields.extent(*size)
        results.append(ReceptiveField(height, width, is_cut_off))
    return results


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what runs: the module of each operation, and the fields of each result."""

    def __init__(self, names: list[str], size: tuple[int, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names, self.size = names, size
        self.leaves: frozenset[str] = frozenset()
        self.operations: Counter[str] = Counter()
        self.connections: Counter[str] = Counter()
        self.outputs: dict[str, list[tuple[tuple[int, ...], PixelFields | None]]] = {}
        self.inputs: dict[str, set[str]] = {}
        self.running: list[str] = [""]
        self.used: set[int] = set()  # the ids of tensors that operations read
        self.fields: Any = WeakTensorKeyDictionary()
        self._layers: Any = WeakTensorKeyDictionary()

    def start(self, images: Tensor) -> None:
        """Take the images that the network will see."""
        self.fields[images] = PixelFields.of_image(images)
        self._layers[images] = frozenset([IMAGES])

    def enter(self, name: str, arguments: object) -> None:
        """Begin a module."""
        self.running.append(name)
        layers = [self._layers.get(tensor, frozenset()) for tensor in _tensors(arguments)]
        self.inputs.setdefault(name, set()).update(*layers)

    def leave(self, name: str, result: object) -> None:
        """End a module."""
        self.running.pop()
        outputs = self.outputs.setdefault(name, [])
        is_leaf = name in self.leaves
        for tensor in _tensors(result):
            outputs.append((tuple(tensor.shape[1:]), self.fields.get(tensor)))
            if is_leaf:
                self._layers[tensor] = frozenset([name])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        inputs, outputs = _tensors((args, kwargs)), _tensors(result)
        self.used.update(map(id, inputs))
        self._count(func.overloadpacket, args, kwargs, result)
        layers: frozenset[str] = frozenset().union(
            *(self._layers.get(tensor, frozenset()) for tensor in inputs)
        )
        if layers:
            for tensor in outputs:
                self._layers[tensor] = layers
        if outputs and any(tensor in self.fields for tensor in inputs):
            carried = carry(Call(func, args, kwargs, outputs[0], self.fields.get))
            several = carried if isinstance(carried, list) else [carried] * len(outputs)
            for tensor, fields in zip(outputs, several, strict=False):
                if fields is not None and fields.shape == tuple(tensor.shape):
                    self.fields[tensor] = fields
        return result

    def _count(self, packet: Any, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        if packet not in flop_registry:
            return
        name = self.running[-1]
        operations = int(flop_registry[packet](*args, **kwargs, out_val=result))
        self.operations[name] += operations
        kind = packet.__name__
        factors = _tensors(args)[_WEIGHTED.get(kind, 0) :]
        seen = [tensor in self.fields for tensor in factors[:2]]
        if kind in _WEIGHTED and not all(seen):
            has_bias = _WEIGHTED[kind] or (
                kind == "convolution" and args[_CONVOLUTION_BIAS] is not None
            )
            self.connections[name] += operations // 2 + (result.numel() if has_bias else 0)


def _tensors(values: object) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def traced_fields(run: Callable[[Tensor], Tensor], images: Tensor) -> PixelFields:
    """The receptive field of each value that a function computes from images (1, 3, H, W)."""
    trace = _Trace([], (images.shape[-2], images.shape[-1]))
    trace.start(images)
    with torch.no_grad(), trace:
        result = run(images)
    fields: PixelFields = trace.fields[result]
    return fields


@torch.no_grad()
def _traced(network: nn.Module, run: Callable[[Tensor], object], size: tuple[int, int]) -> _Trace:
    modules = dict(network.named_modules())
    trace = _Trace([*modules], size)
    trace.leaves = frozenset(n for n, module in modules.items() if not any(module.children()))
    images = torch.empty(1, input_channels(network), *size, device="meta")
    trace.start(images)
    with _hooks(modules, trace), trace:
        run(images)
    return trace


@contextmanager
def _hooks(modules: dict[str, nn.Module], trace: _Trace) -> Iterator[None]:
    """Report the start and the end of each module while open."""
    handles = []
    for name, module in modules.items():

        def enter(module: nn.Module, args: Any, kwargs: Any, name: str = name) -> None:
            trace.enter(name, (args, kwargs))

        def leave(module: nn.Module, args: Any, result: Any, name: str = name) -> None:
            trace.leave(name, result)

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
