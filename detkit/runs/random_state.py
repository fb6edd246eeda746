"""The states of all random generators of a process, as values for a checkpoint."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators: tensors and plain values only.

    Includes the CUDA generator of the current device (each rank has its own) once CUDA is
    initialised.
    """
    legacy: Any = np.random.get_state(legacy=False)  # typed as a union of two forms
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
    """Restore the states that `random_state` returned; ignores that of CUDA on other machines."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    legacy = state["numpy"]
    words = legacy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": words}})
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
