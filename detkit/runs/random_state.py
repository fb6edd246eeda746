"""The state of all random generators of a process, as values that a checkpoint can hold."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators: tensors and plain values only.

    Of CUDA the generator of the current device is taken, once something was done there; each rank
    has its own.
    """
    legacy: Any = np.random.get_state(legacy=False)  # its type says any of two forms
    words = torch.from_numpy(legacy["state"]["key"].astype(np.int64))
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": {**legacy, "state": {**legacy["state"], "key": words}},
        "torch": torch.get_rng_state(),
    }
    # `is_available` loads NVIDIA's library at each call.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put all generators into a state that `random_state` gave.

    The state of CUDA's generator is left out on a machine without CUDA.
    """
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    legacy = state["numpy"]
    words = legacy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": words}})
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
