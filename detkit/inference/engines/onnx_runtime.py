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
        providers: list[Any] = [(_CUDA, {"device_id": index})] if uses_gpu else []
        self._session = _session(runtime, path, [*providers, _CPU], threads)
        started = self._session.get_providers()[0]  # it falls back to the CPU without an error
        if device.startswith("cuda") and started != _CUDA:
            raise without_gpu(path, device, "onnxruntime cannot start CUDA here")
        self.device = (device if index else "cuda") if started == _CUDA else "cpu"
        name = f"onnxruntime {runtime.__version__}"
        self.description = f"{name}, {started}, {counted(threads, 'thread')}"
        self.model = model_of(
            self._session.get_modelmeta().custom_metadata_map, path, "a file of `detkit export`"
        )
        graph_input = self._session.get_inputs()[0]
        self._input, self._half = graph_input.name, graph_input.type == "tensor(float16)"
        self._outputs = [output.name for output in self._session.get_outputs()]
        require_contract(path, self.model, graph_input.shape, self._outputs)

    def __call__(self, images: NDArray[np.float32]) -> PaddedArrays | RawArrays:
        """Run the graph once on images (B, 3, H, W)."""
        inputs = images.astype(np.float16) if self._half else images
        outputs = self._session.run(self._outputs, {self._input: inputs})
        return arrays_of(dict(zip(self._outputs, outputs, strict=True)), self.model.nms)


def _imported(path: Path) -> Any:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise missing_package(path, "onnxruntime", "onnxruntime") from error


def _session(runtime: Any, path: Path, providers: list[Any], threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    try:
        return runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime has a class for each kind of failure
        text = str(error)
        newer = "opset" in text.lower() or "ir version" in text.lower()
        remedy = f"it needs a newer onnxruntime than {runtime.__version__}: update it"
        raise damaged_file(path, "onnxruntime", text, remedy if newer else None) from error
