"""Checks of values that parts receive and return, for all tensors in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.contracts.case import BrokenContractError


def require(condition: bool, message: str) -> None:
    """Raise BrokenContractError with this message unless a condition holds."""
    if not condition:
        raise BrokenContractError(message)


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors and arrays in nested lists, tuples, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield torch.from_numpy(value.copy())
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors(inner)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))


@contextmanager
def unchanged(*inputs: Any) -> Iterator[None]:
    """Check that a part does not modify its inputs.

    Raises:
        BrokenContractError: An input changed.
    """
    before = [tensor.detach().clone() for tensor in tensors(inputs)]
    yield
    after = list(tensors(inputs))
    same = len(before) == len(after) and all(map(are_equal, before, after))
    require(
        same,
        "it modified its inputs: work on a copy, without in-place operations (`x += 1`, "
        "`x.clamp_()`, `list.pop()`), since other parts use the same tensors.",
    )


def are_equal(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors have the same values, with NaN in the same positions."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return bool(((first == second) | ((first != first) & (second != second))).all())  # noqa: PLR0124  # NaN


def require_same(actual: Any, expected: Any, message: str) -> None:
    """Raise BrokenContractError unless two values contain equal tensors; NaN equals NaN."""
    first, second = list(tensors(actual)), list(tensors(expected))
    require(len(first) == len(second) and all(map(are_equal, first, second)), message)


def require_close(
    actual: Any, expected: Any, message: str, *, rtol: float = 1e-3, atol: float = 1e-3
) -> None:
    """Raise BrokenContractError unless two values contain nearly equal tensors."""
    first, second = list(tensors(actual)), list(tensors(expected))
    counts = f"{len(first)} and {len(second)} tensors"
    require(len(first) == len(second), f"{message} There are {counts}.")
    for a, b in zip(first, second, strict=True):
        if a.shape != b.shape:
            shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
            raise BrokenContractError(f"{message} Shapes are {shapes}.")
        if not torch.allclose(a.float(), b.float(), rtol=rtol, atol=atol, equal_nan=True):
            largest = float((a.float() - b.float()).abs().max())
            raise BrokenContractError(f"{message} The largest difference is {largest:.3g}.")


def require_near(actual: Any, expected: Any, message: str, tolerance: float = 1e-3) -> None:
    """Raise BrokenContractError unless the relative error of each tensor is small.

    Args:
        actual: What the part returned.
        expected: What it should return.
        message: The message; `{}` is replaced by the relative error.
        tolerance: The largest relative error, by the norm of the whole tensor.
    """
    first, second = list(tensors(actual)), list(tensors(expected))
    shapes, expected_shapes = ([tuple(tensor.shape) for tensor in row] for row in (first, second))
    if shapes != expected_shapes:
        raise BrokenContractError(
            f"{message.format('its shapes')} They are {shapes}, not {expected_shapes}."
        )
    for a, b in zip(first, second, strict=True):
        error = float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-6))
        if not error <= tolerance:  # neither is NaN
            raise BrokenContractError(message.format(f"{error:.2%}"))


def require_finite(value: Any, message: str) -> None:
    """Raise BrokenContractError if a tensor contains NaN or infinity."""
    require(all(bool(tensor.isfinite().all()) for tensor in tensors(value)), message)


def require_tensor(
    value: Any, description: str, shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    """Return the value if it is a tensor of this shape and type.

    Raises:
        BrokenContractError: It is not; the message starts with `description`.
    """
    expected = f"expected {shape} {dtype}"
    if not isinstance(value, Tensor):
        raise BrokenContractError(f"{description} is {type(value).__name__}, {expected} tensor.")
    if tuple(value.shape) != shape or value.dtype != dtype:
        raise BrokenContractError(
            f"{description} is {tuple(value.shape)} {value.dtype}, {expected}."
        )
    return value
