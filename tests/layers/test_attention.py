import torch
from torch import nn

from detkit.layers.attention import CBAM, PointwiseAttention


def sigmoid(value):
    return 1 / (1 + torch.tensor(-float(value)).exp())


def test_cbam_by_hand():
    block = CBAM(2, hidden_channels=1, kernel_size=3)
    with torch.no_grad():
        block.squeeze.weight.copy_(torch.tensor([[1.0, 1.0]]))
        block.squeeze.bias.zero_()
        block.expand.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        block.expand.bias.zero_()
        block.places.weight.zero_()
        block.places.weight[0, :, 1, 1] = torch.tensor([1.0, 2.0])
    features = torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    # Means are 2 and 0, maxima 3 and 0: hidden 2 and 3, channel logits +5 and -5.
    first = features[0, 0, 0] * sigmoid(5)
    places = torch.stack([sigmoid(value / 2 + 2 * value) for value in first])  # mean, 2 * maximum
    expected = torch.stack([first * places, torch.zeros(2)])[None, :, None]
    torch.testing.assert_close(block(features), expected)


def test_pointwise_attention_by_hand():
    block = PointwiseAttention(1, norm="none")
    nn.init.constant_(block.convolution.conv.weight, 2.0)
    nn.init.constant_(block.convolution.conv.bias, 1.0)
    features = torch.tensor([[[[1.0, -1.0]]]])
    expected = torch.stack([sigmoid(3), -sigmoid(-1)]).view(1, 1, 1, 2)
    torch.testing.assert_close(block(features), expected)
