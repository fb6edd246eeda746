"""Run `.pt2` files, programs of torch.export, in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import detkit.ops  # noqa: F401  # registers the operator of non-maximum suppression
from detkit.inference.detecting import choose_device
from detkit.inference.engines.contract import PaddedArrays, RawArrays, arrays_of
from detkit.inference.engines.metadata import damaged_file, model_of, without_gpu
from detkit.structures.export_graph import INPUT
from detkit.structures.exported import METADATA_KEY


class TorchProgram:
    """A saved program of torch.export, with the outputs as the graph returns them.

    Args:
        file: The file.
        threads: Threads of PyTorch while the program runs; None leaves PyTorch's setting.

    Attributes:
        input_shape: The shape of the input; None where any length fits.
        weights: Its parameters and buffers.
        metadata: The text of detkit's metadata; empty if the file has none.
    """

    def __init__(self, file: Path, threads: int | None) -> None:
        extra = {f"{METADATA_KEY}.json": ""}
        program = torch.export.load(file, extra_files=extra)
        self.metadata = extra[f"{METADATA_KEY}.json"]
        example = next(node.meta["val"] for node in program.graph.nodes if node.name == INPUT)
        self.input_shape = tuple(n if isinstance(n, int) else None for n in example.shape)
        self.weights: Mapping[str, Tensor] = program.state_dict
        self._module = program.module()
        self._threads = threads

    @torch.no_grad()
    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Run the program on images (B, 3, H, W); its outputs in order."""
        with torch_threads(self._threads) if self._threads else nullcontext():
            outputs: Sequence[Tensor] = self._module(torch.from_numpy(images))
        return [output.numpy() for output in outputs]


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use a number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        try:
            self._program = TorchProgram(path, None)
        except Exception as error:  # torch.export raises errors of many kinds
            raise damaged_file(path, "torch.export", str(error), None) from error
        text = self._program.metadata
        metadata = {METADATA_KEY: text} if text else {}
        self.model = model_of(metadata, path, "a file of `detkit export format=torch_export`")
        self.device = "cpu"
        self.description = f"torch.export, PyTorch {torch.__version__}, CPU"

    def __call__(self, images: NDArray[np.float32]) -> PaddedArrays | RawArrays:
        """Run the program once on images (B, 3, H, W)."""
        outputs = zip(self.model.outputs, self._program(images), strict=True)
        return arrays_of(dict(outputs), self.model.nms)
