"""Self-attention on half of the channels: values against torch's attention, heads, bypass."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.layers import PartialAttention

PLAIN = {"norm": "none", "activation": "none"}


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    attention = PartialAttention(256, blocks=1, **PLAIN).blocks[0].attention  # two heads
    nn.init.zeros_(attention.positions.conv.weight)
    nn.init.zeros_(attention.positions.conv.bias)
    features = torch.randn(2, 128, 3, 5)
    heads = attention.projection(features).reshape(2, 2, 128, 15).transpose(2, 3)
    query, key, value = heads[..., :32], heads[..., 32:64], heads[..., 64:]
    mixed = F.scaled_dot_product_attention(query, key, value).transpose(2, 3)
    expected = attention.output(mixed.reshape(features.shape))
    torch.testing.assert_close(attention(features), expected)


def test_positions_come_from_a_depthwise_convolution_of_the_values():
    attention = PartialAttention(8, blocks=1, **PLAIN).blocks[0].attention
    features = torch.randn(1, 4, 3, 3).requires_grad_()
    nn.init.zeros_(attention.output.conv.bias)
    without = attention(features)
    nn.init.zeros_(attention.positions.conv.weight)
    nn.init.zeros_(attention.positions.conv.bias)
    assert attention.positions.conv.groups == 4
    assert not torch.allclose(attention(features), without)


def test_half_of_the_channels_bypass_the_blocks():
    stage = PartialAttention(8, blocks=2, **PLAIN)
    features = torch.randn(1, 8, 2, 2)
    past, through = stage.entry(features).chunk(2, dim=1)
    expected = stage.join(torch.cat([past, stage.blocks(through)], dim=1))
    torch.testing.assert_close(stage(features), expected)


@pytest.mark.parametrize(("channels", "heads"), [(8, 1), (256, 2), (400, 2), (768, 6)])
def test_heads_have_64_or_more_channels_and_equal_size(channels, heads):
    with torch.device("meta"):
        attention = PartialAttention(channels, blocks=1, **PLAIN).blocks[0].attention
    assert attention.projection.conv.out_channels == channels // 2 + 2 * heads * (
        channels // 2 // heads // 2
    )
