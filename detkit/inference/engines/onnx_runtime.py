"""Run `.onnx` files in onnxruntime."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.inference.device_names import usable_threads
from detkit.inference.engines.contract import PaddedArrays, RawArrays, arrays_of
from detkit.inference.engines.metadata import (
    damaged_file,
    missing_package,
    model_of,
    require_contract,
    without_gpu,
)
from detkit.text import counted

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ERRORS_ONLY = 3  # onnxruntime's log level


class OnnxRuntime:
    """An ONNX model in onnxruntime, with the outputs as the graph returns them.

    Args:
        model: A file, or the bytes of a model.
        threads: Threads of one operator.
        gpu: The index of the GPU to use if onnxruntime can start CUDA; None for the CPU.

    Attributes:
        input_shape: The shape of the input; None where any length fits.
        axes: The shape of the input; a name where any length fits.
        outputs: The names of the outputs, in order.
        entries: The metadata.
        provider: What runs the model: onnxruntime falls back to the CPU without an error.
    """

    def __init__(self, model: Path | bytes, threads: int, *, gpu: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        providers: list[Any] = [] if gpu is None else [(_CUDA, {"device_id": gpu})]
        self._session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, [*providers, _CPU]
        )
        graph_input = self._session.get_inputs()[0]
        self._input, self._half = graph_input.name, graph_input.type == "tensor(float16)"
        self.axes: list[int | str] = graph_input.shape
        self.input_shape = tuple(n if isinstance(n, int) else None for n in self.axes)
        self.outputs = [output.name for output in self._session.get_outputs()]
        self.entries: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.provider: str = self._session.get_providers()[0]

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Run the model on images (B, 3, H, W); its outputs in order."""
        inputs = images.astype(np.float16) if self._half else images
        outputs: list[NDArray[Any]] = self._session.run(self.outputs, {self._input: inputs})
        return outputs


class OnnxRuntimeEngine:
    """An ONNX file in onnxruntime, on a GPU if onnxruntime can use one; see `Engine`.

    Args:
        path: The file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: Threads on the CPU; None takes `usable_threads()`.

    Raises:
        UserError: onnxruntime is missing or too old, the file is damaged or not from detkit, or
            there is no such device.
    """

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        runtime = _imported(path)
        threads = threads or usable_threads()
        uses_gpu = device.startswith("cuda") or (
            device == "auto" and _CUDA in runtime.get_available_providers()
        )
        if uses_gpu and _CUDA not in runtime.get_available_providers():
            raise without_gpu(path, device, "this onnxruntime has no CUDA: install onnxruntime-gpu")
        index = int(device.partition(":")[2] or 0)
        self._graph = _opened(runtime, path, threads, index if uses_gpu else None)
        provider = self._graph.provider
        if device.startswith("cuda") and provider != _CUDA:
            raise without_gpu(path, device, "onnxruntime cannot start CUDA here")
        self.device = (device if index else "cuda") if provider == _CUDA else "cpu"
        name = f"onnxruntime {runtime.__version__}"
        self.description = f"{name}, {provider}, {counted(threads, 'thread')}"
        self.model = model_of(self._graph.entries, path, "a file of `detkit export`")
        require_contract(path, self.model, self._graph.axes, self._graph.outputs)

    def __call__(self, images: NDArray[np.float32]) -> PaddedArrays | RawArrays:
        """Run the graph once on images (B, 3, H, W)."""
        outputs = zip(self._graph.outputs, self._graph(images), strict=True)
        return arrays_of(dict(outputs), self.model.nms)


def _imported(path: Path) -> Any:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise missing_package(path, "onnxruntime", "onnxruntime") from error


def _opened(runtime: Any, path: Path, threads: int, gpu: int | None) -> OnnxRuntime:
    try:
        return OnnxRuntime(path, threads, gpu=gpu)
    except Exception as error:  # onnxruntime has a class for each kind of failure
        text = str(error)
        newer = "opset" in text.lower() or "ir version" in text.lower()
        remedy = f"it needs a newer onnxruntime than {runtime.__version__}: update it"
        raise damaged_file(path, "onnxruntime", text, remedy if newer else None) from error
