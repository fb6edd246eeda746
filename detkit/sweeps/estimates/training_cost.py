"""Estimate the cost of a training before it starts, without memory for weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.errors import UserError
from detkit.evaluation.operation_counts import operations, priors_by_level, size_of
from detkit.sweeps.estimates.data_facts import DataFacts, DataReader
from detkit.sweeps.estimates.device_speed import HALF, Speed
from detkit.sweeps.estimates.meta_network import Network
from detkit.training.trainer import device_count
from detkit.training.workload import extent_of

Size = tuple[int, int]
# Losses, matching, the optimizer and reading images, in addition to the passes through the network.
_OTHER_WORK = 1.3


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step holds on one device, when its backward pass begins.

    Not among them: the context of CUDA, what its libraries need while they compute, and what
    fragments leave. The gradients come while the activations go, so the sum is a little too high.

    Attributes:
        weights: Parameters and buffers.
        gradients: Of what is trained.
        optimizer: What the optimizer keeps of each parameter.
        average: A moving average of the weights, where a callback keeps one.
        activations: What autograd keeps of the batch for the backward pass.
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.average + self.activations


@dataclass(frozen=True)
class Estimate:
    """The cost of a configuration. None marks what cannot be counted without data.

    Attributes:
        parameters: Numbers that are learned or frozen.
        operations: Multiplications and additions for the prediction of one image, with as many
            regions as the proposer may give.
        priors: Priors of one image.
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


@dataclass(frozen=True)
class _Counts:
    """What is counted of a network, whatever the optimizer and the callbacks are."""

    network: Network
    priors: int | None
    operations: int | None
    activations: int | None


class Estimator:
    """Counts what trainings would take; networks that several have in common are counted once."""

    def __init__(
        self,
        num_classes: int | None = None,
        size: Size | None = None,
        speed: Callable[[Mapping[str, Any]], Speed] | None = None,
    ) -> None:
        """Set assumptions that replace the facts of the data sets.

        Args:
            num_classes: The number of classes; None takes that of the data.
            size: Height and width of all images; None takes those of the data.
            speed: Returns the speed of a configuration's device; None estimates no time.
        """
        self._num_classes = num_classes
        self._size = size
        self._speed = speed
        self._facts = DataReader()
        self._known: dict[str, _Counts | UserError] = {}

    def __call__(self, config: Mapping[str, Any]) -> Estimate:
        """Build the parts of a checked configuration on the meta device and count their cost.

        Raises:
            UserError: The parts do not fit each other or the images, or the data cannot be read,
                so that no training could run.
        """
        facts = self._facts_of(config)
        classes = _numbered(facts.classes)
        self._build_others(config, classes)
        counts = self._counts(config, facts)
        detector = counts.network.detector
        gradients, optimizer = _of_optimizer(config, classes, detector)
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
            left_out.append(f"what the optimizer '{config['optimizer']['name']}' keeps")
        if None in (counts.priors, counts.operations, counts.activations):
            left_out.append("what a part of the network computes from values")
        return Estimate(
            parameters=sum(parameter.numel() for parameter in detector.parameters()),
            operations=counts.operations,
            priors=counts.priors,
            memory=None if counts.activations is None else memory,
            images=_sizes_text(facts),
            classes=facts.classes,
            minutes=self._minutes(config, counts, facts),
            left_out=tuple(left_out),
        )

    def _facts_of(self, config: Mapping[str, Any]) -> DataFacts:
        facts = self._facts(config)
        if self._num_classes is not None:
            facts = replace(facts, classes=self._num_classes)
        if self._size is not None:
            facts = replace(facts, trained=self._size, seen=self._size)
        return facts

    def _minutes(
        self, config: Mapping[str, Any], counts: _Counts, facts: DataFacts
    ) -> float | None:
        """Rough minutes of the whole training, from operations and the speed of the device."""
        if self._speed is None or counts.operations is None:
            return None
        trainer, batch = config["trainer"], config["data"]["batch_size"]
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
        """Build what else a training is made of, to hear what it refuses."""
        for split in ("train", "evaluation"):
            assembly.build_transforms(config["augmentation"], split)
        assembly.build("scheduler", config["scheduler"], classes.wiring(), ("scheduler",))
        assembly.build_metric(config, classes)

    def _counts(self, config: Mapping[str, Any], facts: DataFacts) -> _Counts:
        step = (config["data"]["batch_size"], config["trainer"]["precision"])
        decisive = (facts.seen, facts.trained, facts.classes)
        key = json.dumps([config["model"], decisive, step])
        if key not in self._known:
            try:
                self._known[key] = _count(config["model"], facts, step)
            except UserError as error:
                self._known[key] = error
        counts = self._known[key]
        if isinstance(counts, UserError):
            raise counts
        return counts


def _count(model: Mapping[str, Any], facts: DataFacts, step: tuple[int, int | str]) -> _Counts:
    network = Network(assembly.describe_on_meta(model, _numbered(facts.classes)), model)
    seen, trained = facts.seen, facts.trained
    detector = network.detector.eval()
    priors = _counted(lambda: sum(priors_by_level(detector, network.priors, seen)), seen)
    image = torch.empty(1, 3, *seen, device="meta")
    flops = _counted(lambda: operations(lambda: network.run(image, "postprocess")), seen)
    detector.train()
    batch = torch.empty(step[0], 3, *trained, device="meta")
    activations = _counted(lambda: network.activations(batch, HALF.get(step[1])), trained)
    return _Counts(network, priors, flops, activations)


def _numbered(count: int) -> Classes:
    """Placeholder classes, if only their number is known."""
    names = [f"class {number}" for number in range(count)]
    return Classes(names, list(range(1, count + 1)))


def _sizes_text(facts: DataFacts) -> str:
    seen, trained = (f"{height} x {width}" for height, width in (facts.seen, facts.trained))
    return seen if trained == seen else f"{seen} (in training {trained})"


def _counted(count: Callable[[], Any], size: Size) -> Any:
    """What is counted for images of a size; None where that needs data.

    Raises:
        UserError: No image of this size could go through.
    """
    where = f"for images of {size[0]} x {size[1]} pixels"
    try:
        return count()
    except UserError as error:
        raise UserError(f"{error} ({where})") from error
    except NotImplementedError:
        return None
    except Exception as error:
        if "meta tensor" in str(error) or "Meta" in str(error):
            return None
        text = " ".join(str(error).split())
        raise UserError(
            f"the network does not run {where}: {type(error).__name__}: {text}"
        ) from error


def _of_optimizer(
    config: Mapping[str, Any], classes: Classes, detector: nn.Module
) -> tuple[int, int | None]:
    """Bytes of the gradients and of what the optimizer keeps, after a step on the meta device."""
    factory = assembly.build("optimizer", config["optimizer"], classes.wiring(), ("optimizer",))
    optimizer: torch.optim.Optimizer = factory(detector, config["data"]["batch_size"])
    gradients = []
    for parameter in detector.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
            gradients.append(parameter.grad)
    try:
        optimizer.step()
    except (NotImplementedError, RuntimeError):  # one that looks at values
        return size_of(gradients), None
    kept = [v for of in optimizer.state.values() for v in of.values() if isinstance(v, Tensor)]
    return size_of(gradients), size_of(kept)
