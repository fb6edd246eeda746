import pytest
import torch
from torch import nn

from detkit.layers import ConvBlock, CSPStage, ParallelPooling, Residual, SerialPooling, SplitStage

PLAIN = {"norm": "none", "activation": "none"}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def ones(module):
    """All weights 1 and all biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    return module


def test_a_residual_adds_what_came_in():
    features = torch.full((1, 2, 1, 1), 3.0)
    # 1x1: 3 + 3 on each of 4 channels; 3x3 on a single cell: 4 * 6 on each of 2.
    block = ones(Residual(2, inner_channels=4, **PLAIN))
    assert block(features).flatten().tolist() == [24 + 3, 24 + 3]
    block = ones(Residual(2, inner_channels=4, shortcut=False, **PLAIN))
    assert block(features).flatten().tolist() == [24, 24]


@pytest.mark.parametrize(("transition", "expected"), [(False, 48), (True, 88)])
def test_half_goes_through_the_blocks_and_half_past_them(transition, expected):
    # 2 + 2 = 4 on both channels of both halves; a block makes 4 + 2 * 8 = 20 of it, transition 40;
    # the last convolution sums 20 + 20 (40 + 40) and 4 + 4.
    stage = ones(CSPStage(2, 4, blocks=1, transition=transition, **PLAIN))
    found = stage(torch.full((1, 2, 1, 1), 2.0)).flatten()
    assert found.tolist() == [expected] * 4


def test_channels_of_a_stage():
    norm = {"norm": "batch", "activation": "silu"}
    stage = CSPStage(6, 8, blocks=2, **norm)
    # Two 1x1 from 6 to 4, two blocks of 1x1 and 3x3 at 4, 1x1 from 8 to 8; 2 values per norm.
    expected = 2 * (6 * 4 + 8) + 2 * (4 * 4 + 8 + 9 * 4 * 4 + 8) + 8 * 8 + 16
    assert parameters(stage) == expected
    assert stage(torch.zeros(2, 6, 3, 3)).shape == (2, 8, 3, 3)


def test_three_small_pools_in_a_row_are_pools_of_5_9_and_13():
    torch.manual_seed(0)
    look = {"norm": "batch", "activation": "silu"}
    serial = SerialPooling(8, kernel_size=5, times=3, **look).eval()
    parallel = ParallelPooling(8, kernel_sizes=(5, 9, 13), **look).eval()
    parallel.load_state_dict(serial.state_dict())
    features = torch.randn(2, 8, 20, 17)
    assert torch.equal(serial(features), parallel(features))


@pytest.mark.parametrize("activation", ["leaky_relu", "mish", "silu", "relu", "none"])
def test_activations(activation):
    block = ones(ConvBlock(1, 1, kernel_size=1, activation=activation))
    x = torch.tensor(-1.0)
    expected = {
        "leaky_relu": -0.1,
        "mish": (x * torch.tanh(torch.log1p(x.exp()))).item(),
        "silu": (x * x.sigmoid()).item(),
        "relu": 0.0,
        "none": -1.0,
    }
    assert block(x.view(1, 1, 1, 1)).item() == pytest.approx(expected[activation])


def test_a_kernel_of_6_halves_an_even_map():
    assert ConvBlock(3, 4, kernel_size=6, stride=2)(torch.zeros(1, 3, 64, 32)).shape[2:] == (32, 16)


def test_a_split_stage_joins_the_outputs_of_all_its_blocks():
    stage = SplitStage(4, 6, blocks=2, norm="none", activation="none", shortcut=False)
    features = torch.randn(2, 4, 5, 5)
    first, second = stage.entry(features).chunk(2, dim=1)
    third = stage.blocks[0](second)
    expected = torch.cat([first, second, third, stage.blocks[1](third)], dim=1)
    torch.testing.assert_close(stage(features), stage.join(expected))
    assert stage(features).shape == (2, 6, 5, 5)


@pytest.mark.parametrize(("block", "kernels"), [("narrow", [3, 3]), ("csp", [1, 1, 3, 3, 3, 3, 1])])
def test_blocks_of_a_split_stage_in_yolo11(block, kernels):
    stage = SplitStage(4, 8, blocks=1, norm="none", activation="none", block=block)
    layers = [layer for layer in stage.blocks.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size[0] for layer in layers] == kernels
    assert min(layer.out_channels for layer in layers) == 2
    assert stage(torch.zeros(1, 4, 3, 3)).shape == (1, 8, 3, 3)
