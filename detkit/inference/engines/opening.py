"""Choose the engine of an exported file by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.inference.device_names import require_device_name
from detkit.inference.engines.contract import Engine, PaddedArrays, RawArrays
from detkit.inference.engines.onnx_runtime import OnnxRuntimeEngine
from detkit.inference.engines.open_vino import OpenVinoEngine
from detkit.remote.addresses import is_remote, local_source
from detkit.runs.layout import BUNDLE, RunFolder

SUFFIXES = (".onnx", ".xml", ".pt2")


def exported_file(source: str) -> Path | None:
    """The exported file that a source names, or None if it names something else.

    Args:
        source: A file, a folder that holds one .xml file with its .bin file, or the address of a
            file, such as `hf://OWNER/NAME/model.onnx`, which is downloaded.

    Raises:
        UserError: The name is that of an exported file, and there is none.
    """
    if is_remote(source) and source.lower().endswith(SUFFIXES):
        source = local_source(source, "ckpt")
    path = Path(source).expanduser()
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        if not path.is_file():
            raise UserError(f"{source}: there is no such file.")
        return path
    if (path / BUNDLE).is_file() or RunFolder(path).config.is_file():
        return None  # a run, perhaps with an export in its folder
    models = [file for file in path.glob("*.xml") if file.with_suffix(".bin").is_file()]
    return models[0] if len(models) == 1 else None


def files_of(path: Path) -> tuple[Path, ...]:
    """An exported file with the files beside it that hold its weights."""
    beside = (path.with_suffix(".bin") if path.suffix.lower() == ".xml" else None,)
    outside = (path.with_name(f"{path.name}.data"),)  # large ONNX files
    return (path, *(file for file in (*beside, *outside) if file and file.is_file()))


def open_engine(path: Path, device: str = "auto", threads: int | None = None) -> Engine:
    """Open an exported file in the engine of its format.

    Args:
        path: An .onnx, .xml or .pt2 file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: Threads on the CPU; None takes those that this process may use.

    Raises:
        UserError: A package is missing, the file is damaged or not from detkit, or there is no
            such device.
    """
    device = require_device_name(device)
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return OnnxRuntimeEngine(path, device=device, threads=threads)
    if suffix == ".xml":
        return OpenVinoEngine(path, device=device, threads=threads)
    # The only engine that needs torch; the others run without it.
    program = import_module("detkit.inference.engines.torch_program")
    engine: Engine = program.TorchProgramEngine(path, device=device, threads=threads)
    return engine


def run_exported(
    path: Path, images: NDArray[np.float32], threads: int | None = None
) -> PaddedArrays | RawArrays:
    """Open an exported file on the CPU and run it once.

    Args:
        path: An .onnx, .xml or .pt2 file.
        images: (B, 3, H, W) float32 RGB from 0 to 255.
        threads: Threads; None takes those that this process may use.
    """
    return open_engine(path, "cpu", threads)(images)
