"""The level that each region is pooled from, and the pooled values."""

from contextlib import nullcontext

import pytest
import torch
from contract_cases import each_promise
from torchvision.ops import MultiScaleRoIAlign, roi_pool

from detkit.errors import UserError
from detkit.ops.selection import fixed_shapes
from detkit.roi_heads.pooling import RoIPool
from detkit.roi_heads.roi_align import RoIAlign
from detkit.structures import FeatureSpec

STRIDES = [4, 8, 16, 32, 64]


def specs(strides=STRIDES, channels=3):
    return [FeatureSpec(channels, stride) for stride in strides]


def maps(strides=STRIDES, side=256, channels=3):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, side // s, side // s, generator=generator) for s in strides]


def square(side):
    return [10.0, 10.0, 10.0 + side, 10.0 + side]


def random_regions(count, longest=250):
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(count, 2, generator=generator) * 5
    sides = 2 + torch.rand(count, 2, generator=generator) * (longest - 8)
    return torch.cat([corners, corners + sides], dim=1), torch.arange(count) % 2


@each_promise("pooling", needed={"warped_crop": {"size": 16, "context": 2}})
def test_a_pooling_keeps_its_contract(case):
    case()


@pytest.mark.parametrize(
    ("box", "level"),
    [
        (square(224), 2),  # the canonical size belongs to stride 16
        (square(223.9), 1),
        (square(112), 1),
        (square(111.9), 0),
        (square(448), 3),
        (square(1000), 3),  # larger than all: the coarsest level that is pooled from
        (square(3), 0),
        (square(0), 0),  # without area
        ([10, 10, 10 + 448, 10 + 112], 2),  # area 224 x 224
        ([10, 10, 5, 5], 0),  # turned inside out: 5 x 5
    ],
)
def test_the_level_of_a_region_by_hand(box, level):
    assert RoIAlign(feature_specs=specs()).level_of(torch.tensor([box])).item() == level


def test_levels_are_identified_by_stride_not_by_position():
    pooling = RoIAlign(feature_specs=specs([8, 16, 32, 64, 128]))
    boxes = torch.tensor([square(20), square(112), square(224), square(900)])
    assert pooling.level_of(boxes).tolist() == [0, 0, 1, 2]


def test_a_neck_that_leaves_levels_out_is_pooled_from_the_next_finer_one():
    pooling = RoIAlign(feature_specs=specs([4, 16]))
    boxes = torch.tensor([square(60), square(150), square(224), square(500)])
    assert pooling.level_of(boxes).tolist() == [0, 0, 1, 1]


def test_the_canonical_side_moves_the_levels():
    pooling = RoIAlign(feature_specs=specs(), canonical_side=56.0)
    assert pooling.level_of(torch.tensor([square(56), square(55)])).tolist() == [2, 1]


def test_roi_align_equals_torchvisions_over_levels():
    boxes, image = random_regions(40, longest=510)
    features = maps(side=512)
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    by_image = [boxes[image == 0], boxes[image == 1]]
    expected = theirs(dict(zip("0123", features[:4], strict=True)), by_image, [(512, 512)] * 2)
    ours = RoIAlign(feature_specs=specs(), aligned=False)(features, boxes, image)
    order = torch.cat([(image == 0).nonzero(), (image == 1).nonzero()]).squeeze(1)
    assert len(set(RoIAlign(feature_specs=specs()).level_of(boxes).tolist())) >= 3
    torch.testing.assert_close(ours[order], expected)


def thin_regions_at_the_border():
    """Regions along the right and lower borders of 256 x 256, thinner than a cell or not."""
    starts = 256 - torch.linspace(0.05, 9, 60)
    zero, end = torch.zeros(60), torch.full((60,), 256.0)
    right = torch.stack([starts, zero, end, end - 40], dim=1)
    lower = torch.stack([zero + 30, starts, end, end], dim=1)
    return torch.cat([right, lower])


# pain 90
@pytest.mark.parametrize("samples", [2, 0])
@pytest.mark.parametrize("device_path", [fixed_shapes, nullcontext])
def test_regions_enlarged_past_the_border_equal_torchvisions(device_path, samples):
    boxes, features = thin_regions_at_the_border(), maps()
    image = torch.zeros(len(boxes), dtype=torch.int64)
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, samples or -1, canonical_scale=28)
    pyramid = dict(zip("0123", [m[:1] for m in features[:4]], strict=True))
    expected = theirs(pyramid, [boxes], [(256, 256)])
    pooling = RoIAlign(feature_specs=specs(), aligned=False, samples=samples, canonical_side=28.0)
    assert len(set(pooling.level_of(boxes).tolist())) >= 3
    with device_path():
        torch.testing.assert_close(pooling(features, boxes, image), expected, rtol=0, atol=1e-4)


def test_roi_pool_equals_torchvisions_on_one_level():
    boxes, image = random_regions(10)
    features = maps([16])
    ours = RoIPool(feature_specs=specs([16]), size=3)(features, boxes, image)
    expected = roi_pool(features[0], torch.cat([image[:, None], boxes], dim=1), 3, 1 / 16)
    assert torch.equal(ours, expected)


def test_the_middle_of_a_region_of_one_cell_is_that_cell():
    feature = torch.arange(16.0).view(1, 1, 4, 4)
    box, image = torch.tensor([[16.0, 8, 24, 16]]), torch.tensor([0])  # column 2, row 1
    pooling = RoIAlign(feature_specs=specs([8], channels=1), size=1, samples=1)
    assert pooling([feature], box, image).item() == 6.0


@pytest.mark.parametrize("part", [RoIAlign, RoIPool])
def test_half_precision_maps_do_not_move_regions(part):
    boxes, image = random_regions(8)
    features = [level + 1 for level in maps()]
    pooling = part(feature_specs=specs())
    found = pooling([level.bfloat16() for level in features], boxes, image)
    assert found.dtype == torch.bfloat16
    expected = pooling([level.bfloat16().float() for level in features], boxes, image)
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0.01)


def test_levels_that_differ_in_channels_are_refused():
    levels = [FeatureSpec(8, 8), FeatureSpec(16, 16)]
    with pytest.raises(UserError, match="need the same number of channels, got 8, 16: add a neck"):
        RoIAlign(feature_specs=levels)


def test_only_too_coarse_levels_are_refused():
    with pytest.raises(UserError, match=r"all strides \(64, 128\) are above coarsest_stride=32"):
        RoIPool(feature_specs=specs([64, 128]))


def test_roi_pool_equals_torchvisions_on_each_level():
    boxes, image = random_regions(40, longest=510)
    features = maps(side=512)
    pooling = RoIPool(feature_specs=specs())
    pooled = pooling(features, boxes, image)
    for row, level in enumerate(pooling.level_of(boxes).tolist()):
        region = torch.cat([image[row : row + 1], boxes[row]])[None]
        assert torch.equal(pooled[row], roi_pool(features[level], region, 7, 1 / STRIDES[level])[0])


@pytest.mark.parametrize("strides", [STRIDES, [16]])
@pytest.mark.parametrize(
    ("part", "values"),
    [(RoIAlign, {}), (RoIAlign, {"aligned": False}), (RoIAlign, {"samples": 3}), (RoIPool, {})],
)
def test_graphs_and_accelerators_pool_the_same_maps(part, values, strides):
    boxes, image = random_regions(40)
    features = [level.requires_grad_() for level in maps(strides)]
    pooling = part(feature_specs=specs(strides), size=3, **values)
    pooled = pooling(features, boxes, image)
    with fixed_shapes():
        expected = pooling(features, boxes, image)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-4)
    gradients = [torch.autograd.grad(m.square().sum(), features[0]) for m in (pooled, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-3)


def test_a_region_that_is_not_a_number_gives_no_number():
    pooling = RoIAlign(feature_specs=specs())
    boxes = torch.tensor([[1.0, 1, torch.nan, 9], [1, 1, 9, 9]])
    pooled = pooling(maps(), boxes, torch.tensor([0, 0]))
    assert pooled[0].isnan().any()
    assert pooled[1].isfinite().all()


def test_roi_align_is_exported_for_any_size_and_number_of_images():
    class Net(torch.nn.Module):
        pooling = RoIAlign(feature_specs=specs([1, 2], channels=3), size=2)

        def forward(self, images):
            boxes = torch.tensor([[0.0, 0, 9, 9]]).expand(images.shape[0], 4)
            image = torch.arange(images.shape[0])
            return self.pooling([images, images[:, :, ::2, ::2]], boxes, image)

    dynamic = torch.export.Dim.DYNAMIC
    axes = {"images": {0: dynamic, 2: dynamic, 3: dynamic}}
    graph = torch.export.export(Net(), (torch.rand(2, 3, 32, 24),), dynamic_shapes=axes).module()
    images = torch.rand(3, 3, 11, 40)
    torch.testing.assert_close(graph(images), Net()(images))
