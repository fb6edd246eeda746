"""Count tensor operations, and the operations that make the host wait for the device.

An accelerator works through a queue. Whenever the host needs a value from the device (a number, or
the size of a result), it waits until the queue is empty, and the device then waits for the host. On
a CPU nothing waits, but it can run the same operations and count what a GPU would wait for.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detkit.ops.selection import fixed_shapes

_PROJECT = Path(__file__).parents[2]
_TORCH = str(Path(torch.__file__).parent)
_TO_HOST, _TO_DEVICE = "copy to the host", "copy to the device"
_DATA_DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
_MASKS = (torch.bool, torch.uint8)
# On a CPU these calls do not reach the dispatcher.
_TO_PYTHON = {"tolist", "numpy", "__array__"}
_FROM_PYTHON = {"tensor", "as_tensor", "asarray", "from_numpy", "new_tensor"}


class HostRead(NamedTuple):
    """An operation that makes the host wait.

    Attributes:
        operation: Its name, such as "nonzero" or "tolist".
        line: The line of code that caused it, such as "detkit/losses/ghm.py:40".
    """

    operation: str
    line: str


@dataclass(frozen=True)
class OperationCount:
    """The operations of one piece of work.

    Attributes:
        operations: Operations that PyTorch dispatched, views and the backward pass included.
        reads: Those that make the host wait, in order, without the copies.
        copies: Copies of whole tensors from the device to the host.
    """

    operations: int
    reads: tuple[HostRead, ...]
    copies: tuple[HostRead, ...]

    @property
    def host_reads(self) -> int:
        """How often the host waits for the device."""
        return len(self.reads) + len(self.copies)

    def lines(self) -> list[str]:
        """Each line of code that makes the host wait, the most frequent first."""
        reads = Counter((*self.reads, *self.copies)).most_common()
        return [f"{count} x {read.operation}, {read.line}" for read, count in reads]

    def as_plain(self) -> dict[str, Any]:
        """The counts and the lines, for JSON."""
        counts = {"operations": self.operations, "host_reads": self.host_reads}
        return {**counts, "copies": len(self.copies), "lines": self.lines()}


def count_operations(
    work: Callable[[], object], device: torch.device, host_tensors: Iterable[Tensor] = ()
) -> OperationCount:
    """Run some work once and count its operations.

    Run the work before: the first run also fills caches.

    Args:
        work: A training step or a prediction.
        device: Where it computes. A CPU runs the code of accelerators, and every tensor counts as
            one of the device, except `host_tensors`, tensors made from Python values without a
            device, copies made by `cpu()`, and what is computed from these alone.
        host_tensors: Inputs that stay on the host.
    """
    counter = _Counter(device, host_tensors)
    with ExitStack() as stack:
        # Compiled functions run uncompiled, since the dispatcher cannot see into them.
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(fixed_shapes())
        stack.enter_context(_Calls(counter))
        stack.enter_context(_Operations(counter))
        work()
    return OperationCount(counter.operations, tuple(counter.reads), tuple(counter.copies))


class _Counter:
    """The counts, and which tensors are on the host."""

    def __init__(self, device: torch.device, host_tensors: Iterable[Tensor]) -> None:
        self.operations = 0
        self.reads: list[HostRead] = []
        self.copies: list[HostRead] = []
        self._is_cpu = device.type == "cpu"
        self._host = {id(tensor): tensor for tensor in host_tensors}  # alive, so that ids stay true

    @property
    def host_reads(self) -> int:
        return len(self.reads) + len(self.copies)

    def on_device(self, tensor: Tensor) -> bool:
        return id(tensor) not in self._host if self._is_cpu else tensor.device.type != "cpu"

    def put_on_host(self, result: object) -> None:
        if self._is_cpu:
            self._host.update({id(tensor): tensor for tensor in _tensors(result)})

    def put_on_device(self, tensor: Tensor) -> None:
        self._host.pop(id(tensor), None)

    def add_read(self, operation: str) -> None:
        self.reads.append(HostRead(operation, _line()))

    def add_transfer(self, source_on_device: bool) -> None:
        if source_on_device:
            self.copies.append(HostRead(_TO_HOST, _line()))
        else:
            self.add_read(_TO_DEVICE)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what reaches the dispatcher, the backward pass included."""

    def __init__(self, counter: _Counter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counter = counter

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Count an operation and run it."""
        kwargs, counter = kwargs or {}, self.counter
        name = func.overloadpacket.__name__
        counter.operations += 1
        inputs = _tensors((args, kwargs))
        on_device = [counter.on_device(tensor) for tensor in inputs]
        if any(on_device) and self._waits(func, name, args, kwargs):
            counter.add_read(name)
        result = func(*args, **kwargs)
        if name == "copy_" and on_device[0] != on_device[1]:
            counter.add_transfer(on_device[1])
        elif name == "_to_copy" and result.device.type != inputs[0].device.type:
            counter.add_transfer(on_device[0])
        elif name == "lift_fresh" or (on_device and not any(on_device)):
            counter.put_on_host(result)
        return result

    def _waits(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether an operation needs a value of the device before it can return."""
        if name in _INDEXING:
            masks = [index for index in args[1] if index is not None and index.dtype in _MASKS]
            return bool(masks) and not self._is_masked_fill(args)
        if name == "repeat_interleave":
            return kwargs.get("output_size") is None
        # torchvision's operations have no tags.
        return name == "nms" or not _DATA_DEPENDENT.isdisjoint(func.tags)

    def _is_masked_fill(self, args: tuple[Any, ...]) -> bool:
        """Whether PyTorch assigns a number where a mask is true without looking for positions."""
        if len(args) < 3:  # noqa: PLR2004  # index, which assigns nothing
            return False
        indices = [index for index in args[1] if index is not None]
        return len(indices) == 1 and args[2].numel() == 1 and not self.counter.on_device(args[2])


class _Calls(TorchFunctionMode):
    """Counts the calls that do not reach the dispatcher on a CPU, since they move nothing there."""

    def __init__(self, counter: _Counter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of PyTorch, and count it if values pass between Python and the device."""
        kwargs, counter = kwargs or {}, self.counter
        name, before = getattr(func, "__name__", ""), counter.host_reads
        result = func(*args, **kwargs)
        if name in _TO_PYTHON:
            if counter.on_device(args[0]) and counter.host_reads == before:
                counter.add_read(name)
        elif name in _FROM_PYTHON and not (args and result is args[0]):
            self._from_python(name, args, kwargs, result)
        elif name in ("cpu", "to") and isinstance(args[0], Tensor):
            result = self._moved(name, (*args[1:], *kwargs.values()), args[0], result)
        return result

    def _from_python(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor
    ) -> None:
        """Note where a tensor of Python values is; copying them to the device is a wait."""
        device = kwargs.get("device", args[0].device if name == "new_tensor" else None)
        if device is None or device == "cpu":
            self.counter.put_on_host(result)
        else:
            self.counter.put_on_device(result)
            if self.counter.on_device(result):
                self.counter.add_read(_TO_DEVICE)

    def _moved(self, name: str, options: tuple[Any, ...], source: Tensor, result: Tensor) -> Tensor:
        """The result of `cpu()` or `to(...)`; on a CPU as a tensor of its own, since it moves."""
        to_host = name == "cpu" or any(value == "cpu" for value in options if type(value) is str)
        to_device = any(isinstance(value, torch.device) for value in options)
        on_device = self.counter.on_device(source)
        if result.device.type != "cpu" or source.device.type != "cpu":
            return result  # counted by the dispatcher
        if on_device and to_host:
            result = result.view_as(result) if result is source else result
            self.counter.put_on_host(result)
            self.counter.add_transfer(True)
        elif not on_device and to_device:
            result = result.view_as(result) if result is source else result
            self.counter.put_on_device(result)
            if True not in options:  # non_blocking
                self.counter.add_transfer(False)
        return result


def _tensors(values: object) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _line() -> str:
    """The line of code that runs, outside of PyTorch and of this file."""
    node = torch._C._current_autograd_node()
    if node is not None:
        return f"backward pass, {node.name()}"
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_TORCH, __file__)):
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    name = file.relative_to(_PROJECT) if file.is_relative_to(_PROJECT) else file
    return f"{name}:{frame.f_lineno}"
