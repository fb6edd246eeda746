"""Small detectors and weight files for the tests of this folder."""

from functools import cache

import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.weights.weight_source import WeightSource

TINY = [
    "model/backbone=timm",
    "model.backbone.model=test_resnet",
    "model.neck.out_channels=32",
    "model.head.layers.convs=1",
]


@cache
def tiny_model(head="retinanet", *words):
    """The configuration of a small detector, which tests only read."""
    return compose("train", [f"model={head}", *TINY, *words])["model"]


def tiny_detector(names, model=None, seed=0):
    """A detector for classes of these names; every value of it is random."""
    torch.manual_seed(seed)
    detector = assembly.build_detector(model or tiny_model(), classes(names))
    for value in detector.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn_like(value))
    return detector


def classes(names):
    return Classes(list(names), list(range(1, len(names) + 1)))


def source_of(detector, slots, **changes):
    """A detector's weights as if they came from a file."""
    state = {name: value.clone() for name, value in detector.state_dict().items()}
    return WeightSource(path="file", kind="test", tensors={**state, **changes}, slots=slots)
