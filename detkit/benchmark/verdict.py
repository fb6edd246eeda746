"""The slowest stage of a training, and the keys that could make it faster on this machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from detkit.benchmark.machine import Half, Machine
from detkit.text import counted

_HALF = 0.5
_LARGE_OPTIMIZER = 0.3  # share of a step above which to suggest fewer optimizer steps
_UNDISTURBED = 0.9  # share of the slower stage's rate that both together usually reach
_SMALLEST_SIDE = 320  # below, small objects vanish
_SIDES = ("short_side", "height")
_MOVABLE = ("resize", "letterbox", "random_perspective")  # no detector depends on their size


@dataclass(frozen=True)
class Rates:
    """The measured rates.

    Attributes:
        loader: Images/s that the loader delivers alone.
        together: Images/s of loader and step together.
        sample: Seconds of one training sample in one process.
        decoding: Seconds of decoding one image.
        forward: Seconds of the network and the losses of a batch.
        backward: Seconds of the gradients.
        optimizer: Seconds of the optimizer per batch.
        whole: Seconds of a step; differs from the sum, since all are medians.
        batch_size: Images per batch.
        longest_side: Longest side of a batch in pixels.
        memory: Peak GPU memory of a training step in bytes; None on a CPU.
    """

    loader: float
    together: float
    sample: float
    decoding: float
    forward: float
    backward: float
    optimizer: float
    whole: float
    batch_size: int
    longest_side: int
    memory: int | None

    @property
    def step(self) -> float:
        """Images/s of the step alone."""
        return self.batch_size / self.whole


@dataclass(frozen=True)
class Settings:
    """The settings that affect speed.

    Attributes:
        workers: Number of loader processes.
        precision: The trainer's precision.
        compile: The setting trainer.compile.
        accelerator: The trainer's accelerator.
        devices: Number of devices that train on this machine.
        size_key: The key that sets the size of training images, and its value; None if it is fixed.
    """

    workers: int
    precision: Half | Literal[32]
    compile: bool
    accelerator: str
    devices: int
    size_key: tuple[str, int] | None


def verdict(rates: Rates, settings: Settings, machine: Machine) -> list[str]:
    """A sentence that names the slowest stage, and suggestions, most effective first."""
    if rates.loader < rates.step:
        heading = (
            f"the loader is the slowest stage: {rate(rates.loader)} images/s, while the training "
            f"step could take {rate(rates.step)}"
        )
        advice = list(_for_loader(rates, settings, machine))
    else:
        name, share = _largest(rates)
        heading = (
            f"the training step is the slowest stage: {rate(rates.step)} images/s, while the "
            f"loader delivers {rate(rates.loader)}; {name} {share:.0%} of it"
        )
        advice = list(_for_step(rates, settings, machine))
        advice = advice or ["a smaller model; detkit plan model=A,B compares their cost"]
    sharing = list(_for_sharing(rates, settings, machine))
    advice = [*sharing, *advice] if settings.workers == 0 else [*advice, *sharing]
    return [f"{heading}{':' if advice else '.'}", *(f"  - {line}" for line in advice)]


def rate(images: float) -> str:
    """Images/s with the significant digits."""
    return f"{images:,.0f}" if images >= 10 else f"{images:.2g}"  # noqa: PLR2004


def size_key(train_transforms: Mapping[str, Any]) -> tuple[str, int] | None:
    """The key of the last transform that sets the size of training images, and its value."""
    for label, step in reversed(list(train_transforms.items())):
        for key in _SIDES:
            if step is not None and key in step:
                path = f"augmentation.train.{label}.{key}"
                return (path, step[key]) if step["name"] in _MOVABLE else None
    return None


def _largest(rates: Rates) -> tuple[str, float]:
    parts = {
        "forward and loss take": rates.forward,
        "backward takes": rates.backward,
        "the optimizer takes": rates.optimizer,
    }
    name = max(parts, key=lambda part: parts[part])
    return name, parts[name] / sum(parts.values())


def _for_loader(rates: Rates, settings: Settings, machine: Machine) -> Iterator[str]:
    free = _free_cores(settings, machine)
    if settings.workers < free:
        needed = math.ceil(rates.step * rates.sample)
        yield (
            f"data.workers={min(max(needed, settings.workers + 1), free)} (now "
            f"{settings.workers}; {machine.cores} cores here)"
        )
    else:
        threads = machine.threads
        computing = f"; the step uses {threads} of them" if _on_cpu(machine) else ""
        devices = f" for {settings.devices} devices" if settings.devices > 1 else ""
        yield (
            f"data.workers is {settings.workers}, and this machine has "
            f"{counted(machine.cores, 'CPU core')}{devices}{computing}: more workers would not help"
        )
    of_sample = f"of the {1e3 * rates.sample:.1f} ms of a sample"
    if rates.decoding > _HALF * rates.sample:
        yield (
            f"store smaller images: decoding one takes {1e3 * rates.decoding:.1f} ms {of_sample}"
        )
    else:
        transforms = max(rates.sample - rates.decoding, 0)
        yield (
            f"fewer or cheaper transforms in augmentation.train: they take "
            f"{1e3 * transforms:.1f} ms {of_sample}"
        )


def _for_step(rates: Rates, settings: Settings, machine: Machine) -> Iterator[str]:
    if machine.has_gpu and settings.accelerator == "cpu":
        yield "trainer.accelerator=gpu (now cpu; PyTorch finds a GPU here)"
        return
    if machine.half is not None and settings.precision == 32:  # noqa: PLR2004  # a setting's value
        yield f"trainer.precision={machine.half} (now 32; this device computes it faster)"
    if _on_cpu(machine) and machine.threads < machine.cores:
        yield (
            f"more threads: PyTorch computes with {machine.threads} on {machine.cores} CPU cores "
            "(OMP_NUM_THREADS sets them)"
        )
    if machine.device == "cuda" and not settings.compile:
        yield "trainer.compile=true (now false; the first batches take minutes)"
    has_room = rates.memory is not None and machine.memory is not None
    if has_room and rates.memory < _HALF * machine.memory:  # type: ignore[operator]
        yield (
            f"data.batch_size={2 * rates.batch_size} (now {rates.batch_size}; a step holds "
            f"{rates.memory / 2**30:.1f} of {machine.memory / 2**30:.0f} GiB); mind the "  # type: ignore[operator]
            "learning rate"
        )
    if rates.optimizer > _LARGE_OPTIMIZER * rates.whole:
        yield (
            f"a larger data.batch_size, or trainer.accumulate_grad_batches: the optimizer takes "
            f"{rates.optimizer / rates.whole:.0%} of a step, regardless of the batch size"
        )
    if settings.size_key is not None:
        key, value = settings.size_key
        if _SMALLEST_SIDE < value <= rates.longest_side:
            smaller = max(round(value * 0.75 / 32) * 32, _SMALLEST_SIDE)
            yield f"fewer pixels: {key}={smaller} (now {value}), at the cost of small objects"


def _for_sharing(rates: Rates, settings: Settings, machine: Machine) -> Iterator[str]:
    alone = min(rates.loader, rates.step)
    if rates.together >= _UNDISTURBED * alone:
        return
    start = f"together they reach {rate(rates.together)} images/s"
    if settings.workers == 0:
        yield f"{start}, since the training process loads too (data.workers=0): data.workers=1"
    elif _on_cpu(machine):
        yield (
            f"{start}, since {counted(settings.workers, 'loader process')} and "
            f"{counted(machine.threads, 'computing thread')} share "
            f"{counted(machine.cores, 'CPU core')}"
        )
    else:
        yield f"{start}: the copy to the GPU, or the process that feeds it, is the bottleneck"


def _free_cores(settings: Settings, machine: Machine) -> int:
    """CPU cores available to the workers of one device."""
    busy = machine.threads if _on_cpu(machine) else 0
    return (machine.cores - busy) // max(settings.devices, 1)


def _on_cpu(machine: Machine) -> bool:
    return machine.device == "cpu"
