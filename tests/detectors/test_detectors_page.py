"""The columns of docs/detectors.md that are computed."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

SCRIPT = Path(__file__).parents[2] / "scripts" / "detectors_page.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("detectors_page", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pooling(nn.Module):
    """A 3x3 convolution, then the largest of 3 x 3 cells: together a unit sees 5 pixels."""

    def __init__(self, pool):
        super().__init__()
        self.convolution, self.pool = nn.Conv2d(3, 1, 3, padding=1), pool

    def forward(self, images):
        return [self.pool(self.convolution(images))]


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(3, stride=1, padding=1),
        lambda features: F.max_pool2d(features, kernel_size=3, stride=1, padding=1),
        lambda features: torch.max_pool2d(features, 3, 1, 1),
    ],
    ids=["layer", "function", "torch"],
)
def test_receptive_fields_see_through_every_kind_of_max_pooling(script, pool):
    detector = SimpleNamespace(backbone=Pooling(pool), neck=nn.Identity())
    assert script.receptive_fields(detector, 32, 16) == ["5"]
