import torch
from torch import nn

from detkit.ops.meta_device import on_meta


def test_tensors_take_no_memory_and_keep_their_shapes():
    with on_meta():
        layer = nn.Conv2d(2**20, 2**20, 3)
        nn.init.constant_(layer.bias, 1.0)
    assert layer.weight.is_meta
    assert layer.weight.shape == (2**20, 2**20, 3, 3)


def test_tensors_with_values_are_filled():
    with on_meta():
        values = torch.zeros(2, device="cpu")
        nn.init.constant_(values, 3.0)
        values.add_(1).copy_(values * 2)
    assert values.tolist() == [8.0, 8.0]
