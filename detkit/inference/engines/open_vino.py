"""Run `.xml` files in OpenVINO."""

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
from detkit.structures.exported import METADATA_KEY
from detkit.text import counted


class OpenVino:
    """A model in OpenVINO, on the CPU in float32, with the outputs as the graph returns them.

    Args:
        model: A file, or an `openvino.Model`.
        threads: Threads of the engine.

    Attributes:
        graph: The model as it was read.
        input_shape: The shape of the input; None where any length fits.
    """

    def __init__(self, model: Any, threads: int) -> None:
        import openvino

        # OpenVINO would choose bfloat16 on CPUs that have it.
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        self.graph: Any = core.read_model(model) if isinstance(model, Path) else model
        self._compiled = core.compile_model(self.graph, "CPU", settings)
        lengths = self.graph.inputs[0].get_partial_shape()
        self.input_shape = tuple(n.get_length() if n.is_static else None for n in lengths)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Run the model on images (B, 3, H, W); its outputs in order."""
        request = self._compiled.create_infer_request()  # threads cannot share one
        request.infer([images])
        count = len(self._compiled.outputs)
        # The request owns the memory of its outputs.
        return [np.array(request.get_output_tensor(index).data) for index in range(count)]


class OpenVinoEngine:
    """An .xml file with its .bin file in OpenVINO, on the CPU; see `Engine`.

    Args:
        path: The .xml file.
        device: `auto` or `cpu`.
        threads: Threads; None takes `usable_threads()`.

    Raises:
        UserError: OpenVINO is missing, a file is damaged or not from detkit, or the device is not
            the CPU.
    """

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        if device.startswith("cuda"):
            raise without_gpu(path, device, "OpenVINO runs on the CPU")
        openvino = _imported(path)
        threads = threads or usable_threads()
        try:
            self._graph = OpenVino(path, threads)
        except Exception as error:  # OpenVINO raises RuntimeError for nearly everything
            raise damaged_file(path, "OpenVINO", str(error), None) from error
        self.device = "cpu"
        version = openvino.__version__.partition("-")[0]
        self.description = f"OpenVINO {version}, CPU, {counted(threads, 'thread')}"
        graph = self._graph.graph
        self.model = model_of(_metadata(graph), path, "a file of `detkit export format=openvino`")
        self._outputs = [output.get_any_name() for output in graph.outputs]
        require_contract(path, self.model, self._graph.input_shape, self._outputs)

    def __call__(self, images: NDArray[np.float32]) -> PaddedArrays | RawArrays:
        """Run the graph once on images (B, 3, H, W)."""
        outputs = zip(self._outputs, self._graph(images), strict=True)
        return arrays_of(dict(outputs), self.model.nms)


def _imported(path: Path) -> Any:
    try:
        return import_module("openvino")
    except ImportError as error:
        raise missing_package(path, "OpenVINO", "openvino") from error


def _metadata(graph: Any) -> dict[str, str]:
    """The entries of the runtime information; conversion from ONNX puts them under `framework`."""
    for keys in ([METADATA_KEY], ["framework", METADATA_KEY]):
        if graph.has_rt_info(keys):
            return {METADATA_KEY: str(graph.get_rt_info(keys).value)}
    return {}
