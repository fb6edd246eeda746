"""Layers of networks with published numbers: VGG16, ResNet-18, LeNet-5."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from detkit.network_summary.layer_table import layer_lines
from detkit.network_summary.layers import IMAGES, Layer, layers_of

# Pixels along a side, by hand: each 3 x 3 adds 2 strides, each 2 x 2 pooling 1 and doubles it.
VGG16 = {
    **{"0": 3, "2": 5, "4": 6, "5": 10, "7": 14, "9": 16, "10": 24, "12": 32, "14": 40, "16": 44},
    **{"17": 60, "19": 76, "21": 92, "23": 100, "24": 132, "26": 164, "28": 196, "30": 212},
}
RESNET18 = {
    **{"conv1": 7, "maxpool": 11, "layer1.0.conv1": 19, "layer1.0": 27, "layer1.1": 43},
    **{"layer2.0.conv1": 51, "layer2.0": 67, "layer2.1": 99, "layer3.0": 147, "layer3.1": 211},
    **{"layer4.0.conv1": 243, "layer4.0": 307, "layer4.1.conv1": 371, "layer4.1": 435},
}


def by_name(network: nn.Module, size: tuple[int, int]) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers_of(network, network, size)}


@cache
def resnet18() -> dict[str, Layer]:
    with torch.device("meta"):
        return by_name(torchvision.models.resnet18().eval(), (224, 224))


def sides(layers: dict[str, Layer], names: dict[str, int]) -> dict[str, int]:
    return {name: layers[name].fields[-1].width for name in names}


def test_receptive_fields_of_vgg16():
    with torch.device("meta"):
        layers = by_name(torchvision.models.vgg16().features.eval(), (224, 224))
    assert sides(layers, VGG16) == VGG16
    assert all(field.height == field.width for x in layers.values() for field in x.fields)


def test_receptive_fields_of_resnet18_beyond_its_image():
    assert sides(resnet18(), RESNET18) == RESNET18
    assert not any(field.is_cut_off for name in RESNET18 for field in resnet18()[name].fields)


def test_a_global_pooling_sees_the_whole_image():
    assert [field.is_cut_off for field in resnet18()["fc"].fields] == [True]


def test_totals_of_resnet18_are_the_published_ones():
    total = resnet18()[""]
    assert total.parameters == 11_689_512
    assert total.operations == 2 * 1_814_073_344  # torchvision: 1.814 GFLOPS of multiply-adds


def test_operations_of_each_module_equal_pytorchs_counter():
    with torch.device("meta"):
        network = torchvision.models.resnet18().eval()
        counter = FlopCounterMode(display=False)
        with counter:
            network(torch.empty(1, 3, 224, 224))
    expected = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    expected = {name.removeprefix("ResNet."): count for name, count in expected.items()}
    counts = {name: x.operations for name, x in resnet18().items() if x.operations and name}
    assert counts == {name: expected[name] for name in counts}
    assert resnet18()[""].operations == counter.get_total_flops()


def test_a_layer_names_the_layers_that_it_reads():
    layers = resnet18()
    assert layers["conv1"].inputs == [IMAGES]
    assert layers["layer1.0.bn2"].inputs == ["layer1.0.conv2"]
    assert layers["layer2.0"].inputs == ["layer1.1.relu"]


def test_connections_of_lenet5_are_those_of_its_paper():
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, 6, 5, groups=3), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.AvgPool2d(2),
            nn.Conv2d(16, 120, 5), nn.Flatten(), nn.Linear(120, 84),
        )  # fmt: skip
    layers = by_name(network, (32, 32))  # C1 sees one of three channels, as one of grey images
    counts = [(layers[n].parameters, layers[n].connections) for n in ("0", "4", "6")]
    assert counts == [(156, 122_304), (48_120, 48_120), (10_164, 10_164)]


def test_a_module_that_runs_several_times_lists_each_output():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(images))

    with torch.device("meta"):
        layer = by_name(Twice(), (32, 32))["layer"]
    assert [field.width for field in layer.fields] == [3, 5]
    assert layer.outputs == [(3, 32, 32)] * 2
    assert layer.parameters == 84


class WithSpare(nn.Module):
    """Runs neither its output projection, whose weights it uses, nor its spare layers."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)
        self.spare = nn.ModuleList([nn.Sequential(nn.Linear(4, 4))])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = images.flatten(2)[..., :4].flatten(0, 1)[:, None]
        return self.attention(tokens, tokens, tokens)[0]


def test_layers_that_do_not_run_are_one_line_in_the_table():
    with torch.device("meta"):
        layers = layers_of(network := WithSpare(), network, (8, 8))
    assert [layer.name for layer in layers if layer.is_unused] == [
        *("spare", "spare.0", "spare.0.0")
    ]
    rows = [line.split()[:4] for line in layer_lines(layers, 1)]
    assert rows[-2] == ["spare", "ModuleList", "not", "run"]
    assert [row[0] for row in rows[1:]] == ["attention", "spare", "total"]


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_fields_of_oblong_kernels_have_a_height_and_a_width(size):
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 4, (1, 5)), nn.MaxPool2d((3, 1), (2, 1)))
    layers = by_name(network, size)
    assert [(f.height, f.width) for f in layers["1"].fields] == [(3, 5)]
