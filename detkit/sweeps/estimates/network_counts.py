"""Counts of a network that do not depend on the optimizer: priors, operations, activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from detkit import assembly
from detkit.errors import UserError
from detkit.evaluation.operation_counts import operations, predictions_by_level
from detkit.ops.input_channels import input_channels
from detkit.sweeps.estimates.data_facts import DataFacts
from detkit.sweeps.estimates.device_speed import HALF
from detkit.sweeps.estimates.meta_network import Network

Size = tuple[int, int]


@dataclass(frozen=True)
class NetworkCounts:
    """A network on the meta device, and its counts; None marks what cannot be counted.

    Attributes:
        network: The network.
        priors: Priors, or queries, of one image.
        operations: Operations of a prediction for one image.
        activations: Bytes that autograd saves for a batch.
    """

    network: Network
    priors: int | None
    operations: int | None
    activations: int | None


def count_network(
    model: Mapping[str, Any], facts: DataFacts, step: tuple[int, int | str]
) -> NetworkCounts:
    """Build a detector on the meta device and count.

    Args:
        model: Its configuration.
        facts: Facts about the data.
        step: Batch size and precision of a training step.

    Raises:
        UserError: The parts do not fit each other or the images.
    """
    network = Network(assembly.describe_on_meta(model, facts.classes), model)
    seen, trained = facts.seen, facts.trained
    detector = network.detector.eval()
    priors = _counted(lambda: predictions_by_level(detector, network.dense, seen), seen)
    image = torch.empty(1, input_channels(detector), *seen, device="meta")
    flops = _counted(lambda: operations(lambda: network.run(image, "postprocess")), seen)
    detector.train()
    batch = torch.empty(step[0], image.shape[1], *trained, device="meta")
    activations = _counted(lambda: network.activations(batch, HALF.get(step[1])), trained)
    return NetworkCounts(network, None if priors is None else sum(priors), flops, activations)


def _counted(count: Callable[[], Any], size: Size) -> Any:
    """Count for images of a size; None if that needs the values of tensors.

    Raises:
        UserError: The network cannot process images of this size.
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
