"""What parts take and give, looked at as a row of tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.contracts.case import BrokenContractError


def require(kept: bool, said: str) -> None:
    """Raise BrokenContractError with these words unless something holds."""
    if not kept:
        raise BrokenContractError(said)


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors and arrays in nested lists, tuples, mappings and dataclasses, in their order."""
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
    """See that what is given to a part is as it was afterwards.

    Raises:
        BrokenContractError: It is not.
    """
    before = [tensor.detach().clone() for tensor in tensors(inputs)]
    yield
    after = list(tensors(inputs))
    same = len(before) == len(after) and all(map(are_equal, before, after))
    require(
        same,
        "it changed what it was given: work on a copy, without operations in place (`x += 1`, "
        "`x.clamp_()`, `list.pop()`); others hold the same tensors.",
    )


def are_equal(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors hold the same values, NaN in the same places."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return bool(((first == second) | ((first != first) & (second != second))).all())  # noqa: PLR0124  # NaN


def require_same(found: Any, expected: Any, said: str) -> None:
    """Raise BrokenContractError unless two values hold equal tensors, NaN in the same places."""
    first, second = list(tensors(found)), list(tensors(expected))
    require(len(first) == len(second) and all(map(are_equal, first, second)), said)


def require_close(
    found: Any, expected: Any, said: str, *, rtol: float = 1e-3, atol: float = 1e-3
) -> None:
    """Raise BrokenContractError unless two values hold nearly equal tensors."""
    first, second = list(tensors(found)), list(tensors(expected))
    require(len(first) == len(second), f"{said} There are {len(first)} and {len(second)} tensors.")
    for a, b in zip(first, second, strict=True):
        if a.shape != b.shape:
            raise BrokenContractError(f"{said} Shapes are {tuple(a.shape)} and {tuple(b.shape)}.")
        if not torch.allclose(a.float(), b.float(), rtol=rtol, atol=atol, equal_nan=True):
            largest = float((a.float() - b.float()).abs().max())
            raise BrokenContractError(f"{said} The largest difference is {largest:.3g}.")


def require_near(found: Any, expected: Any, said: str, share: float = 1e-3) -> None:
    """Raise BrokenContractError unless tensors differ by a small share of their whole size.

    Args:
        found: What came.
        expected: What should have come.
        said: The message; `{}` stands for the share by which a tensor is off.
        share: What is allowed of it.
    """
    first, second = list(tensors(found)), list(tensors(expected))
    shapes, wanted = ([tuple(each.shape) for each in every] for every in (first, second))
    if shapes != wanted:
        raise BrokenContractError(f"{said.format('its shapes')} They are {shapes}, not {wanted}.")
    for a, b in zip(first, second, strict=True):
        off = float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-6))
        if not off <= share:  # neither is NaN
            raise BrokenContractError(said.format(f"{off:.2%}"))


def require_finite(value: Any, said: str) -> None:
    """Raise BrokenContractError when a tensor holds NaN or an infinity."""
    require(all(bool(tensor.isfinite().all()) for tensor in tensors(value)), said)


def require_tensor(value: Any, what: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The value, if it is a tensor of this shape and type.

    Raises:
        BrokenContractError: It is not; the message starts with `what`.
    """
    wanted = f"expected {shape} {dtype}"
    if not isinstance(value, Tensor):
        raise BrokenContractError(f"{what} is {type(value).__name__}, {wanted} tensor.")
    if tuple(value.shape) != shape or value.dtype != dtype:
        raise BrokenContractError(f"{what} is {tuple(value.shape)} {value.dtype}, {wanted}.")
    return value
