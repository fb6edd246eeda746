"""detkit's nano YOLO and Ultralytics' yolov8n with equal operations, also as files of either side.

Untrained networks detect next to nothing, and not equally much. `calibrate` rescales the last
layers so that the outputs of both have the same mean and deviation, channel by channel: then both
sides have about as many detections, with similar boxes, to select, suppress and measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from sides import our_detector
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import detkit
from detkit.runs.checkpoint import PREFIX
from detkit.runs.checkpoint_record import RECORD, Record

PAGE = "yolo_free_n"
SAME_OPERATIONS = 0.03
_NARROW = 64  # the class towers of yolov8n have this many channels, or one for each class


class Spread(NamedTuple):
    """Mean and standard deviation of the outputs of a layer."""

    mean: float | Tensor  # a tensor holds one for each channel
    deviation: float


# Logits of the 16 distances on each side of a box: mostly 0 to 3 strides, so that few boxes leave
# the image and few overlap much.
BOXES = Spread(-0.7 * torch.arange(16.0).repeat(4), 1.0)


def changes(classes: int) -> list[str]:
    """Overrides of the page that give it yolov8n's operations."""
    wider = ["model.head.layers.channels=80"]
    return wider if classes <= _NARROW else [*wider, "model.neck.necks.pan.blocks=2"]


def our_network(classes: int) -> nn.Module:
    """Our detector with random weights."""
    return our_detector(PAGE, classes, *changes(classes))


def peer_network(classes: int) -> nn.Module:
    """yolov8n with random weights, complete with what its own files hold."""
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import DEFAULT_CFG_DICT

    network = DetectionModel("yolov8n.yaml", nc=classes, verbose=False)
    network.args, network.task = {**DEFAULT_CFG_DICT, "model": "yolov8n.yaml"}, "detect"
    return network


def gigaflops(model: nn.Module, images: Tensor) -> float:
    """Operations of the forward pass; an addition and a multiplication count as two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    return float(counter.get_total_flops()) / 1e9


def operations_of_both(classes: int, side: int) -> tuple[float, float]:
    """GFLOP of an image forward, ours first.

    Raises:
        RuntimeError: They are not equal.
    """
    image = torch.zeros(1, 3, side, side)
    networks = our_network(classes), peer_network(classes)
    ours, theirs = (gigaflops(network.train(), image) for network in networks)
    if abs(ours - theirs) > SAME_OPERATIONS * theirs:
        raise RuntimeError(f"{ours:.2f} and {theirs:.2f} GFLOP an image are not equal operations")
    return ours, theirs


@torch.no_grad()
def calibrate(network: nn.Module, layers: Mapping[nn.Conv2d, Spread], images: Tensor) -> None:
    """Set the statistics of batch norms and the scale of output layers by these images."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    network.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    outputs: dict[nn.Module, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda module, _, output: outputs.update({module: output}))
        for layer in layers
    ]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    for layer, spread in layers.items():
        mean, deviation = (f(outputs[layer], dim=(0, 2, 3)) for f in (torch.mean, torch.std))
        factor = spread.deviation / deviation.clamp(min=1e-6)
        layer.weight.mul_(factor[:, None, None, None])
        layer.bias.sub_(mean).mul_(factor).add_(spread.mean)


def write_ours(file: Path, images: Tensor, names: list[str], scores: Spread, *words: str) -> None:
    """Write our detector as a checkpoint.

    Args:
        file: The new checkpoint.
        images: (B, 3, H, W) from 0 to 255.
        names: The C class names.
        scores: Mean and deviation of the class logits on these images.
        words: Further overrides, such as the data set and the image size.
    """
    network = our_network(len(names))
    parts = network.head.layers
    layers = dict.fromkeys(parts.class_layers, scores)
    calibrate(network, layers | dict.fromkeys(parts.box_layers, BOXES), images.float())
    config = detkit.compose([f"model={PAGE}", *changes(len(names)), *words]).to_dict()
    record = Record(config, names, list(range(1, len(names) + 1)), detkit.__version__)
    state = {f"{PREFIX}{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, RECORD: record.plain()}, file)


def layers_of_peer(head: nn.Module, scores: Spread) -> dict[nn.Conv2d, Spread]:
    """The output layers of a head of Ultralytics or LibreYOLO, with their spreads."""
    class_layers = {layers[-1]: scores for layers in head.cv3}
    return class_layers | {layers[-1]: BOXES for layers in head.cv2}


def write_theirs(file: Path, images: Tensor, names: list[str], scores: Spread) -> None:
    """Write yolov8n as Ultralytics does; the arguments are those of `write_ours`."""
    from ultralytics import YOLO

    network = peer_network(len(names))
    calibrate(network, layers_of_peer(network.model[-1], scores), images.float() / 255)
    network.names = dict(enumerate(names))
    model = YOLO("yolov8n.yaml")
    model.model = network
    model.save(file)
