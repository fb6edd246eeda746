"""The necks of YOLOv4 and of the tiny YOLOv3 and YOLOv4."""

import pytest
import torch

from detkit.errors import UserError
from detkit.necks.yolov3_tiny import TinyYOLOv3Neck
from detkit.necks.yolov4 import YOLOv4Neck
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(4, 8), FeatureSpec(8, 16), FeatureSpec(16, 32)]


def maps(height=96, width=64):
    torch.manual_seed(0)
    sizes = [(-(-height // s.stride), -(-width // s.stride)) for s in SPECS]
    return [torch.randn(2, s.channels, *size) for s, size in zip(SPECS, sizes, strict=True)]


def reached(neck, source):
    """The output maps that depend on one input map."""
    features = [level.requires_grad_() for level in maps()]
    gradients = [
        torch.autograd.grad(level.sum(), features[source], allow_unused=True, retain_graph=True)[0]
        for level in neck.eval()(features)
    ]
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


def test_yolov4_halves_channels_and_sends_both_ways():
    neck = YOLOv4Neck(feature_specs=SPECS)
    assert neck.feature_specs == [FeatureSpec(2, 8), FeatureSpec(4, 16), FeatureSpec(8, 32)]
    assert [tuple(level.shape[1:]) for level in neck(maps())] == [(2, 12, 8), (4, 6, 4), (8, 3, 2)]
    assert reached(neck, 0) == reached(neck, 2) == [True, True, True]


@pytest.mark.parametrize("pool_sizes", [(3,), (5, 9, 13)])
def test_pools_join_their_input_with_the_last_pool_first(pool_sizes):
    pooling = YOLOv4Neck(feature_specs=SPECS, pool_sizes=pool_sizes).pooling
    seen = []
    pooling.join.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pooling(maps()[-1])
    joined = seen[0].unflatten(1, (len(pool_sizes) + 1, 8))
    assert torch.equal(joined[:, 0], pooling.pools[-1](joined[:, -1]))


def test_even_pools_are_refused():
    with pytest.raises(UserError, match=r"neck 'yolov4': pool_sizes 4 is even.*: use 3 or 5"):
        YOLOv4Neck(feature_specs=SPECS, pool_sizes=(4,))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_tiny_neck_uses_the_coarsest_levels(levels):
    neck = TinyYOLOv3Neck(feature_specs=SPECS, levels=levels, channels=16)
    channels = [8, 16, 32][-levels:]
    expected = [FeatureSpec(c, s.stride) for c, s in zip(channels, SPECS[-levels:], strict=True)]
    assert neck.feature_specs == expected
    outputs = neck(maps())
    assert [level.shape[1] for level in outputs] == channels
    assert [level.shape[2:] for level in outputs] == [m.shape[2:] for m in maps()[-levels:]]


def test_the_tiny_neck_sends_from_coarse_to_fine_only():
    neck = TinyYOLOv3Neck(feature_specs=SPECS, channels=16)
    assert reached(neck, 2) == [True, True]
    assert reached(neck, 1) == [True, False]
    assert reached(neck, 0) == [False, False]


def test_too_few_levels_for_the_tiny_neck_are_refused():
    with pytest.raises(UserError, match=r"needs 2 feature levels, got 1: .*model\.neck\.levels=1"):
        TinyYOLOv3Neck(feature_specs=SPECS[2:])


@pytest.mark.parametrize("neck", [YOLOv4Neck, TinyYOLOv3Neck])
def test_maps_of_odd_sizes_fit(neck):
    sizes = [level.shape[2:] for level in neck(feature_specs=SPECS)(maps(72, 40))]
    assert sizes == [(9, 5), (5, 3), (3, 2)][-len(sizes) :]
