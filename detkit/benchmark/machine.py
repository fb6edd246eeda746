"""The machine that a measurement runs on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from detkit.text import counted, memory_size
from detkit.training.callbacks.slow_loader import cores_here

Half = Literal["bf16", 16]
_FIRST_TENSOR_CORES = (7, 0)  # compute capability from which 16 bits are faster than 32
_FIRST_BF16 = (8, 0)
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Machine:
    """A machine and the device to measure.

    Attributes:
        cores: CPU cores that this process may use.
        threads: PyTorch's threads on the CPU.
        device: The type of the training device: cpu, cuda, mps.
        name: Name of the processor or GPU.
        has_gpu: Whether PyTorch finds a GPU.
        memory: Bytes of the GPU; None on a CPU.
        half: The 16-bit trainer.precision that is faster on this device; None if there is none.
    """

    cores: int
    threads: int
    device: str
    name: str
    has_gpu: bool
    memory: int | None
    half: Half | None

    def text(self) -> str:
        """A description in one line."""
        cores, threads = counted(self.cores, "CPU core"), counted(self.threads, "thread")
        where = f"{self.device}: {self.name}" + (f" ({threads})" if self.device == "cpu" else "")
        if self.memory is not None:
            where += f" ({memory_size(self.memory, digits=0)})"
        return f"{where}; {cores}; torch {torch.__version__}"


def machine_of(device: torch.device) -> Machine:
    """This machine, training on a device."""
    name, memory = _processor(), None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, memory = properties.name, properties.total_memory
    return Machine(
        cores=cores_here(),
        threads=torch.get_num_threads(),
        device=device.type,
        name=name,
        has_gpu=torch.cuda.is_available(),
        memory=memory,
        half=_half(device),
    )


def _half(device: torch.device) -> Half | None:
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= _FIRST_BF16:
            return "bf16"
        return 16 if capability >= _FIRST_TENSOR_CORES else None
    is_fast = device.type == "cpu" and _BF16_FLAGS & set(_processor_lines("flags").split())
    return "bf16" if is_fast else None


def _processor() -> str:
    return _processor_lines("model name") or platform.processor() or platform.machine()


def _processor_lines(key: str) -> str:
    """A property of the first processor, as Linux reports it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def peak_memory(device: torch.device) -> int | None:
    """Peak memory in bytes: PyTorch's on a GPU, else that of this process (Linux only)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="ascii").splitlines() if status.exists() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
