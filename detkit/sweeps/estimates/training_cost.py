"""Estimate the cost of a training before it starts, without memory for weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.data.batch_size import known_batch_size
from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import freeze, read_freezing
from detkit.errors import UserError
from detkit.evaluation.operation_counts import size_of
from detkit.sweeps.estimates.data_facts import DataFacts, DataReader
from detkit.sweeps.estimates.device_speed import Speed
from detkit.sweeps.estimates.network_counts import NetworkCounts, Size, count_network
from detkit.training.devices import device_count
from detkit.training.workload import extent_of

# Time for losses, matching, the optimizer and reading images, relative to the network's passes.
_OTHER_WORK = 1.3


@dataclass(frozen=True)
class Memory:
    """Bytes of a training step on one device, at the start of its backward pass.

    Not included are the CUDA context, the workspaces of its libraries, and fragmentation. Gradients
    are allocated while activations are freed, so the sum is slightly too high.

    Attributes:
        weights: Parameters and buffers.
        gradients: Gradients of the trained parameters.
        optimizer: State of the optimizer.
        average: Moving average of the weights, if a callback computes one.
        activations: Activations that autograd saves for the backward pass.
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        """The sum."""
        return self.weights + self.gradients + self.optimizer + self.average + self.activations


@dataclass(frozen=True)
class Estimate:
    """The cost of a configuration. None marks what cannot be counted without data.

    Attributes:
        parameters: Number of parameters, frozen ones included.
        operations: Multiplications and additions to predict one image, with the maximum number of
            regions.
        priors: Priors, or queries, of one image.
        memory: Memory of a training step.
        images: The image sizes of this estimate.
        classes: The number of classes of this estimate.
        minutes: Rough minutes of the whole training; None without a measured speed.
        left_out: What the numbers do not include.
    """

    parameters: int
    operations: int | None
    priors: int | None
    memory: Memory | None
    images: str
    classes: int
    minutes: float | None
    left_out: tuple[str, ...]


class Estimator:
    """Estimates the cost of trainings; a network that several share is counted once."""

    def __init__(
        self,
        num_classes: int | None = None,
        size: Size | None = None,
        speed: Callable[[Mapping[str, Any]], Speed] | None = None,
    ) -> None:
        """Set assumptions that replace the facts of the data sets.

        Args:
            num_classes: The number of classes; None takes it from the data.
            size: Height and width of all images; None takes them from the data.
            speed: Returns the speed of a configuration's device; None estimates no time.
        """
        self._num_classes = num_classes
        self._size = size
        self._speed = speed
        self._facts = DataReader()
        self._counts_by_key: dict[str, NetworkCounts | UserError] = {}

    def __call__(self, config: Mapping[str, Any]) -> Estimate:
        """Build the parts of a checked configuration on the meta device and count their cost.

        Raises:
            UserError: The parts do not fit each other or the images, or the data cannot be read,
                so that no training could run.
        """
        facts = self._facts_of(config)
        self._build_others(config, facts.classes)
        counts = self._counts(config, facts)
        detector = counts.network.detector
        with _frozen(config, detector):
            gradients, optimizer = _of_optimizer(config, facts.classes, detector)
        averaged = [v for v in detector.state_dict().values() if v.is_floating_point()]
        callbacks = [node["name"] for node in config["callbacks"].values() if node is not None]
        memory = Memory(
            weights=size_of([*detector.parameters(), *detector.buffers()]),
            gradients=gradients,
            optimizer=optimizer or 0,
            average=size_of(averaged) if "ema" in callbacks else 0,
            activations=counts.activations or 0,
        )
        left_out = counts.network.left_out()
        if optimizer is None:
            left_out.append(f"the state of the optimizer '{config['optimizer']['name']}'")
        if None in (counts.priors, counts.operations, counts.activations):
            left_out.append("parts of the network that depend on the values of tensors")
        return Estimate(
            parameters=sum(parameter.numel() for parameter in detector.parameters()),
            operations=counts.operations,
            priors=counts.priors,
            memory=None if counts.activations is None else memory,
            images=_sizes_text(facts),
            classes=len(facts.classes.names),
            minutes=self._minutes(config, counts, facts),
            left_out=tuple(left_out),
        )

    def _facts_of(self, config: Mapping[str, Any]) -> DataFacts:
        facts = self._facts(config)
        if self._num_classes not in (None, len(facts.classes.names)):
            facts = replace(facts, classes=Classes.placeholders(self._num_classes))
        if self._size is not None:
            facts = replace(facts, trained=self._size, seen=self._size)
        return facts

    def _minutes(
        self, config: Mapping[str, Any], counts: NetworkCounts, facts: DataFacts
    ) -> float | None:
        """Rough minutes of the whole training, from operations and the speed of the device."""
        if self._speed is None or counts.operations is None:
            return None
        trainer, batch = config["trainer"], known_batch_size(config["data"]["batch_size"])
        devices = device_count(trainer["devices"], trainer["accelerator"]) * trainer["num_nodes"]
        extent = extent_of(
            config,
            batches=max(facts.train_images // (batch * devices), 1),
            batch_size=batch,
            validation_images=facts.validation_images,
        )
        speed, layers = self._speed(config), counts.network.layers
        larger = math.prod(facts.trained) / math.prod(facts.seen)
        step = speed.pass_seconds(3 * counts.operations * larger * batch, layers)
        image = speed.pass_seconds(counts.operations, layers / 3)
        return extent.time(_OTHER_WORK * step / batch, _OTHER_WORK * image).seconds / 60

    def _build_others(self, config: Mapping[str, Any], classes: Classes) -> None:
        """Build the other parts of a training, for their errors."""
        for split in ("train", "evaluation"):
            assembly.build_transforms(config["augmentation"], split)
        assembly.build("scheduler", config["scheduler"], classes.wiring(), ("scheduler",))
        assembly.build_metric(config, classes)

    def _counts(self, config: Mapping[str, Any], facts: DataFacts) -> NetworkCounts:
        batch_size = known_batch_size(config["data"]["batch_size"])
        step = (batch_size, config["trainer"]["precision"])
        key = json.dumps([config["model"], facts.seen, facts.trained, asdict(facts.classes), step])
        if key not in self._counts_by_key:
            try:
                self._counts_by_key[key] = count_network(config["model"], facts, step)
            except UserError as error:
                self._counts_by_key[key] = error
        counts = self._counts_by_key[key]
        if isinstance(counts, UserError):
            raise counts
        return counts


def _sizes_text(facts: DataFacts) -> str:
    seen, trained = (f"{height} x {width}" for height, width in (facts.seen, facts.trained))
    return seen if trained == seen else f"{seen} (in training {trained})"


@contextmanager
def _frozen(config: Mapping[str, Any], detector: nn.Module) -> Iterator[None]:
    """Freeze what the training freezes to its end, for a while: estimates share detectors."""
    freezing = read_freezing(config["freeze"])
    if freezing is not None and freezing.until is None and isinstance(detector, DetectorModule):
        freeze(detector, freezing)
        yield
        detector.unfreeze()
    else:
        yield


def _of_optimizer(
    config: Mapping[str, Any], classes: Classes, detector: nn.Module
) -> tuple[int, int | None]:
    """Bytes of the gradients and of the optimizer's state, after a step on the meta device."""
    factory = assembly.build("optimizer", config["optimizer"], classes.wiring(), ("optimizer",))
    optimizer: torch.optim.Optimizer = factory(detector, config["data"]["batch_size"])
    gradients = []
    for parameter in detector.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
            gradients.append(parameter.grad)
    try:
        optimizer.step()
    except (NotImplementedError, RuntimeError):  # it reads values of tensors
        return size_of(gradients), None
    states = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    return size_of(gradients), size_of(states)
