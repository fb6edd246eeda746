"""Load torchvision's C++ operators without importing torchvision.

`import torchvision` takes longer than `import torch`: it builds the registry of its models, and
imports `torch._dynamo`. Prediction only needs a few operators of the compiled libraries.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import torch


def load_operators(library: str, operator: str) -> None:
    """Register the operators of a library, `_C` (`nms` and others) or `image` (`decode_jpeg`).

    Imports torchvision if the file is not where it is expected, or does not load by itself.

    Args:
        library: The beginning of the file's name; releases append `_stable` or a platform.
        operator: One of its operators, such as `torchvision::nms`.
    """
    for file in _files(library):
        if _is_registered(operator):
            return
        try:
            torch.ops.load_library(file)  # type: ignore[no-untyped-call]
        except OSError:
            break
    if not _is_registered(operator):
        importlib.import_module("torchvision.io" if library == "image" else "torchvision")


def _files(library: str) -> list[Path]:
    if sys.platform == "win32":  # torchvision first adds its folder to the search path of DLLs
        return []
    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or []
    return sorted(file for folder in folders for file in Path(folder).glob(f"{library}*.so"))


def _is_registered(operator: str) -> bool:
    namespace, name = operator.split("::")
    return hasattr(getattr(torch.ops, namespace), name)
