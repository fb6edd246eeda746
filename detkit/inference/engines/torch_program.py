"""Run `.pt2` files, programs of torch.export, in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import detkit.ops  # noqa: F401  # registers the operator of non-maximum suppression
from detkit.inference.detecting import choose_device
from detkit.inference.engines.contract import (
    PADDED_NAMES,
    RAW_NAMES,
    PaddedArrays,
    RawArrays,
    arrays_of,
)
from detkit.inference.engines.metadata import damaged_file, model_of, without_gpu
from detkit.structures.exported import METADATA_KEY


class TorchProgramEngine:
    """A saved program of torch.export, on the CPU that it was traced on; see `Engine`.

    Args:
        path: The file.
        device: `auto` or `cpu`.
        threads: Without effect: PyTorch's threads are a setting of the whole process.

    Raises:
        UserError: The file is damaged or not from detkit, or the device is not the CPU.
    """

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        if choose_device("cpu" if device == "auto" else device).type != "cpu":
            raise without_gpu(path, device, "the program was traced on the CPU")
        extra = {f"{METADATA_KEY}.json": ""}
        try:
            program = torch.export.load(path, extra_files=extra)
        except Exception as error:  # torch.export raises errors of many kinds
            raise damaged_file(path, "torch.export", str(error), None) from error
        metadata = {METADATA_KEY: text} if (text := extra[f"{METADATA_KEY}.json"]) else {}
        self.model = model_of(metadata, path, "a file of `detkit export format=torch_export`")
        self.device = "cpu"
        self.description = f"torch.export, PyTorch {torch.__version__}, CPU"
        self._module = program.module()

    @torch.no_grad()
    def __call__(self, images: NDArray[np.float32]) -> PaddedArrays | RawArrays:
        """Run the program once on images (B, 3, H, W)."""
        outputs = self._module(torch.from_numpy(images))
        names = PADDED_NAMES if self.model.nms else RAW_NAMES
        arrays = {name: output.numpy() for name, output in zip(names, outputs, strict=True)}
        return arrays_of(arrays, self.model.nms)
