"""Pickles of NumPy arrays, lists and dictionaries, such as Detectron2's .pkl files.

A pickle names functions, which `pickle` then calls. Here it may name only those with which NumPy
pickles an array, and gets replacements that build an array from its bytes. So nothing that the file
chooses runs, NumPy's own reconstruction included.
"""

from __future__ import annotations

import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.errors import UserError

SUFFIX = ".pkl"
_START = b"\x80"  # of pickles since protocol 2
_TORCH_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # of torch.save before PyTorch 1.6
_NUMBER = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")


class _ForbiddenError(Exception):
    """The pickle holds something else than numbers and containers."""


class _PickledType:
    """Stands for a dtype while a pickle is read; NumPy stores the byte order as its state."""

    def __init__(self, code: str) -> None:
        if not _NUMBER.fullmatch(code):
            raise _ForbiddenError(f"a NumPy array of type {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _PickledArray:
    """Stands for an array while a pickle is read, until its state comes."""

    value: Tensor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, kind, is_fortran, content = state[-4:]  # a version may come first
        self.value = _tensor(content, kind, shape, "F" if is_fortran else "C")


def is_array_pickle(path: Path) -> bool:
    """Whether a file is a pickle that torch.save did not write, by its suffix and its content."""
    if path.suffix != SUFFIX:
        return False
    with path.open("rb") as file:
        start = file.read(len(_TORCH_START))
    return start.startswith(_START) and start != _TORCH_START


def read_array_pickle(path: Path) -> Any:
    """Read a pickle of arrays, whose arrays become tensors; runs no code of it.

    Raises:
        UserError: It holds other objects, is damaged or cannot be read.
    """
    try:
        with path.open("rb") as file:
            # Python 2 pickled bytes as text.
            return _with_tensors(_ArrayUnpickler(file, encoding="latin1").load())
    except _ForbiddenError as error:
        raise UserError(
            f"{path}: holds {error}, but detkit reads only numbers, text, NumPy arrays of numbers, "
            "lists and dictionaries from a pickle, since other objects can run code. If you trust "
            "it, save the tensors alone where it was made: "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from error
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{path}: is damaged or cut short: copy or download it again.") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Gives a pickle replacements for NumPy's functions, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core.", "numpy.core.")
        function = _replacements().get((module, name))
        if function is None:
            raise _ForbiddenError(f"Python objects ({module}.{name})")
        return function


def _replacements() -> dict[tuple[str, str], Callable[..., Any]]:
    """The functions and classes that a pickle may name.

    All functions are new in each call, because a pickle can set attributes of what it names.
    """
    return {
        ("numpy", "ndarray"): lambda: None,
        ("numpy", "dtype"): lambda code, *_: _PickledType(code),
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _PickledArray(),
        ("numpy.core.multiarray", "scalar"): lambda kind, content: _tensor(content, kind, (), "C"),
        ("numpy.core.numeric", "_frombuffer"): lambda *parts: _tensor(*parts),  # noqa: PLW0108
        ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
        ("__builtin__", "bytes"): lambda: b"",  # of empty arrays in protocol 2
        ("collections", "OrderedDict"): OrderedDict,
    }


def _tensor(content: Any, kind: _PickledType, shape: tuple[int, ...], order: Any) -> Tensor:
    """An array's values, which NumPy pickles as bytes in the order of its memory."""
    content = content.encode("latin1") if isinstance(content, str) else bytes(content)
    if len(content) != math.prod(shape) * kind.dtype.itemsize:
        raise ValueError("an array's bytes do not fit its shape")
    values = np.frombuffer(content, kind.dtype).reshape(shape, order=order)
    # Native byte order, which PyTorch needs, in memory that can be written.
    return torch.from_numpy(np.array(values, kind.dtype.newbyteorder("="), order="C"))


def _with_tensors(value: Any) -> Any:
    if isinstance(value, _PickledArray):
        return value.value
    if isinstance(value, dict):
        return {key: _with_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_tensors(item) for item in value]
    return value
