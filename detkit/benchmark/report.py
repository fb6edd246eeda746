"""The results of a benchmark as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from detkit.benchmark.machine import Machine
from detkit.benchmark.operations import OperationCount
from detkit.benchmark.stepping import StepTimes
from detkit.benchmark.table import NAME_WIDTH, milliseconds, table_heading, table_row
from detkit.benchmark.timing import Times
from detkit.benchmark.verdict import Rates, Settings, verdict
from detkit.text import counted, memory_size
from detkit.training.workload import Extent

_UNSTEADY = 2.0  # longest over shortest time


@dataclass(frozen=True)
class Findings:
    """The measurements and their conditions.

    Attributes:
        subject: A short description of the configuration.
        machine: The machine.
        settings: The settings that affect speed.
        size: (height, width) of a training batch.
        batch_size: Images per batch.
        loader: Seconds per image.
        sample: Seconds per sample in one process.
        decoding: Seconds of decoding one image.
        step: Seconds per batch.
        training: Seconds per image, loader and step together.
        network: Seconds of the network for one image.
        prediction: Seconds of the whole prediction of one image.
        memory: Peak memory in bytes while training.
        step_operations: The operations of a training step without the optimizer.
        prediction_operations: The operations of the whole prediction of one image.
        remarks: Notes for the reader.
        extent: The amount of work of the whole training.
    """

    subject: str
    machine: Machine
    settings: Settings
    size: tuple[int, int]
    batch_size: int
    loader: Times
    sample: Times
    decoding: Times
    step: StepTimes
    training: Times
    network: Times
    prediction: Times
    memory: int | None
    step_operations: OperationCount
    prediction_operations: OperationCount
    remarks: tuple[str, ...]
    extent: Extent

    @property
    def rates(self) -> Rates:
        """The rates that the verdict is based on."""
        return Rates(
            loader=1 / self.loader.median,
            together=1 / self.training.median,
            sample=self.sample.median,
            decoding=self.decoding.median,
            forward=self.step.forward.median,
            backward=self.step.backward.median,
            optimizer=self.step.optimizer.median / self.step.accumulated,
            whole=self.step.whole.median,
            batch_size=self.batch_size,
            longest_side=max(self.size),
            memory=self.memory if self.machine.memory is not None else None,
        )

    def text(self) -> str:
        """The machine, a table, and a verdict."""
        remarks = [f"note: {remark}" for remark in (*self._unsteady(), *self.remarks)]
        lines = [self.subject, self.machine.text(), "", *self._table(), ""]
        lines += [self._whole_training(), ""]
        lines += verdict(self.rates, self.settings, self.machine)
        return "\n".join([*lines, *([""] if remarks else []), *remarks])

    def as_plain(self) -> dict[str, Any]:
        """The measurements for JSON, in seconds."""
        step = {name: getattr(self.step, name) for name in ("forward", "backward", "optimizer")}
        times = {
            **{name: getattr(self, name) for name in ("loader", "sample", "decoding")},
            **step,
            **{name: getattr(self, name) for name in ("training", "network", "prediction")},
        }
        return {
            "subject": self.subject,
            "machine": self.machine.text(),
            "size": list(self.size),
            "batch_size": self.batch_size,
            "seconds": {name: list(value.seconds) for name, value in times.items()},
            "memory": self.memory,
            "training_step": self.step_operations.as_plain(),
            "prediction": self.prediction_operations.as_plain(),
            "verdict": verdict(self.rates, self.settings, self.machine),
            "remarks": [*self._unsteady(), *self.remarks],
        }

    def _whole_training(self) -> str:
        """The length of the whole training at the measured rates."""
        # The prediction was measured image by image; larger batches are faster on a GPU.
        time = self.extent.time(self.training.median, self.prediction.median)
        return self.extent.text(time)

    def _unsteady(self) -> Iterator[str]:
        whole = self.step.whole
        if whole.high > _UNSTEADY * whole.low:
            low, high = milliseconds(whole.low).strip(), milliseconds(whole.high).strip()
            yield (
                f"the training step took {low} to {high}: "
                "something else runs on this machine, or the images differ in size; "
                f"steps={3 * len(whole.seconds)} gives steadier numbers."
            )

    def _table(self) -> Iterator[str]:
        workers, batch = self.settings.workers, self.batch_size
        by = counted(workers, "worker") if workers else "no workers"
        yield table_heading()
        yield "data, per image"
        yield table_row(f"loader, {by}", self.loader, 1)
        yield table_row("one process, one thread", self.sample, 1)
        yield table_row("  decoding one image", self.decoding)
        height, width = self.size
        yield f"training step, {counted(batch, 'image')} in {height} x {width}"
        yield table_row("forward and loss", self.step.forward)
        yield table_row("backward", self.step.backward)
        yield table_row("optimizer", self.step.optimizer)
        yield table_row("whole step", self.step.whole, batch)
        yield "training, per image"
        yield table_row("loader and step together", self.training, 1)
        yield "prediction, one image at a time"
        yield table_row("network", self.network)
        pairs = zip(self.network.seconds, self.prediction.seconds, strict=True)
        postprocessing = max(median(whole - network for network, whole in pairs), 0.0)
        yield f"{'  post-processing (the rest)':{NAME_WIDTH}}  {milliseconds(postprocessing)}"
        yield table_row("whole prediction", self.prediction, 1)
        heading = "counted as on an accelerator"
        yield f"{heading:{NAME_WIDTH}}  {'operations':>10}  {'host reads':>10}"
        yield _operations("training step without optimizer", self.step_operations)
        yield _operations("prediction of one image", self.prediction_operations)
        if self.memory is not None:
            whose = "this process" if self.machine.memory is None else "PyTorch on the GPU"
            yield f"peak memory of {whose} while training: {memory_size(self.memory, digits=2)}"


def _operations(name: str, count: OperationCount) -> str:
    return f"{'  ' + name:{NAME_WIDTH}}  {count.operations:>10,}  {count.host_reads:>10,}"
