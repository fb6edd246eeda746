"""Open written models in the engines that certify them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.structures.export_graph import INPUT, Images

Shape = tuple[int | None, ...]


class OnnxRuntime:
    """An ONNX model in onnxruntime, on the CPU.

    Args:
        model: A file, or the bytes of a model.
        threads: Threads of one operator.

    Attributes:
        input_shape: The shape of the input; None where any length fits.
    """

    def __init__(self, model: Path | bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"]
        )
        shape = self._session.get_inputs()[0].shape
        self.input_shape: Shape = tuple(n if isinstance(n, int) else None for n in shape)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: Images) -> list[NDArray[Any]]:
        """Run the model on images (B, 3, H, W); its outputs in order."""
        outputs: list[NDArray[Any]] = self._session.run(self._outputs, {INPUT: images})
        return outputs


class OpenVino:
    """A model in OpenVINO, on the CPU in float32.

    Args:
        model: A file, or an OpenVINO model.
        threads: Threads of the engine.

    Attributes:
        input_shape: The shape of the input; None where any length fits.
    """

    def __init__(self, model: Any, threads: int) -> None:
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        core = openvino.Core()
        source = core.read_model(model) if isinstance(model, Path) else model
        lengths = source.inputs[0].get_partial_shape()
        self.input_shape: Shape = tuple(n.get_length() if n.is_static else None for n in lengths)
        self._compiled = core.compile_model(source, "CPU", settings)

    def __call__(self, images: Images) -> list[NDArray[Any]]:
        """Run the model on images (B, 3, H, W); its outputs in order."""
        results = self._compiled(images)
        return [np.asarray(results[output]) for output in self._compiled.outputs]


class TorchProgram:
    """A saved torch.export program.

    Args:
        file: The file.
        threads: Threads of PyTorch while the program runs.

    Attributes:
        input_shape: The shape of the input; None where any length fits.
    """

    def __init__(self, file: Path, threads: int) -> None:
        program = torch.export.load(file)
        example = next(node.meta["val"] for node in program.graph.nodes if node.name == INPUT)
        self.input_shape: Shape = tuple(n if isinstance(n, int) else None for n in example.shape)
        self._module = program.module()
        self._threads = threads

    def __call__(self, images: Images) -> list[NDArray[Any]]:
        """Run the program on images (B, 3, H, W); its outputs in order."""
        with torch.no_grad(), torch_threads(self._threads):
            outputs: Sequence[torch.Tensor] = self._module(torch.from_numpy(images))
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
