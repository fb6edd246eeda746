"""Record what a run depends on besides its configuration, in `environment.json` of its folder.

The record contains no name of a user, machine or folder other than those in the command and paths
below the working directory, so that it can be published with the run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from detkit import registry
from detkit.files import display_path, write_atomically
from detkit.runs.code_state import code_state
from detkit.runs.layout import RunFolder

COMMAND_VARIABLE = "DETKIT_COMMAND"  # the typed command, for its child processes
_PACKAGES = (
    *("detkit", "torch", "torchvision", "lightning", "timm", "numpy", "pillow", "pycocotools"),
    *("faster-coco-eval", "hydra-core", "omegaconf", "pydantic", "safetensors", "wandb"),
    *("tensorboard",),
)
# The environment variables that change numbers or devices; no other is read.
_VARIABLES = (
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS", "OMP_NUM_THREADS"),
    *("NVIDIA_TF32_OVERRIDE", "PYTHONHASHSEED", "PYTORCH_CUDA_ALLOC_CONF"),
)


def environment(seed: int, data: Mapping[str, str]) -> dict[str, Any]:
    """The environment of this start of a run, as plain values for a JSON file.

    Args:
        seed: The run's seed.
        data: Fingerprints of the splits, by name.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": os.environ.get(COMMAND_VARIABLE) or _command(sys.argv),
        "seed": seed,
        "data": dict(data),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "devices": _devices(),
        "arithmetic": _arithmetic(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "code": {
            "working folder": code_state(Path.cwd()),
            "detkit": code_state(Path(__file__).parents[1]),
        },
        "plugins": [_plugin(name) for name in registry.load_plugins()],
    }


def record_start(folder: Path, record: dict[str, Any], where: str | None = None) -> None:
    """Record the start of a run in its folder.

    The record of the first start stays unchanged. For each later start, the entries that differ
    from the first are appended to its list `resumed`.

    Args:
        folder: The run folder.
        record: The result of `environment`.
        where: Where the run resumes, such as `in epoch 3, batch 7`; None if it starts from the
            beginning, which replaces the record of an earlier start.
    """
    file = RunFolder(folder).environment
    first = None if where is None else _read(file)
    if first is None:
        content = {**record, "resumed": []}
    else:
        differing = {key: value for key, value in record.items() if first.get(key) != value}
        earlier = first.get("resumed")
        starts = earlier if isinstance(earlier, list) else []
        content = {**first, "resumed": [*starts, {"where": where, **differing}]}
    write_atomically(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _read(file: Path) -> dict[str, Any] | None:
    """The record of earlier starts; an unreadable one is renamed, not overwritten."""
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if isinstance(content, dict):
        return content
    file.replace(file.with_stem(f"{file.stem}_damaged"))
    return None


def _command(words: Iterable[str]) -> str:
    """The typed command, quoted for a shell, without the folder of the program."""
    program, *arguments = words
    return shlex.join([Path(program).name, *arguments])


def _version(package: str) -> str | None:
    if package == "torch":
        return str(torch.__version__)  # unlike the package's version, names the build
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    count = torch.cuda.device_count()
    facts: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(number) for number in range(count)],
    }
    if count:
        facts |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
        facts["driver"] = _driver()
    return facts


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def _driver() -> str | None:
    """The version of NVIDIA's kernel module, or None if the system does not show it."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return None
    return next((word for word in text.split() if word[:1].isdigit() and "." in word), None)


def _arithmetic() -> dict[str, Any]:
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "deterministic_warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


def _plugin(name: str) -> dict[str, str | None]:
    """A plugin with a hash of its source; paths below the working directory are relative to it."""
    source = Path(name)
    if not source.exists() and not name.endswith(".py"):  # a file may have been deleted since
        spec = importlib.util.find_spec(name)
        source = Path(spec.origin) if spec is not None and spec.origin else source
    path = display_path(source.resolve())
    if Path(path).is_absolute():
        path = source.name
    named = path if Path(name).is_absolute() else name
    files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
    if not all(file.is_file() for file in files):
        return {"name": named, "file": path, "sha256": None}
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return {"name": named, "file": path, "sha256": digest.hexdigest()[:16]}
