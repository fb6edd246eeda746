"""An operation that ran on tensors with receptive fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from detkit.network_summary.pixel_fields import PixelFields, union

FieldsOf = Callable[[Tensor], PixelFields | None]


@dataclass(frozen=True)
class Call:
    """An operation that ran.

    Attributes:
        func: The operation.
        args: Its positional arguments.
        kwargs: Its arguments by name.
        output: Its first output.
        fields_of: The fields of a tensor; None if it depends on no pixel.
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Tensor
    fields_of: FieldsOf

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return tuple(self.output.shape)

    def inputs(self) -> list[PixelFields]:
        """The fields of all inputs that depend on pixels."""
        tensors = [v for v in tree_leaves((self.args, self.kwargs)) if isinstance(v, Tensor)]
        return [fields for fields in map(self.fields_of, tensors) if fields is not None]

    def first(self) -> PixelFields:
        """The fields of the first argument."""
        fields = self.fields_of(self.args[0])
        return fields if fields is not None else self.inputs()[0]

    def argument(self, position: int, default: Any) -> Any:
        """A positional argument, or its default."""
        return self.args[position] if len(self.args) > position else default


Rule = Callable[[Call], PixelFields]


def around_all(call: Call) -> PixelFields:
    """One field around those of all inputs, for an operation without a rule."""
    return union([fields.hull(call.shape) for fields in call.inputs()], call.shape)
