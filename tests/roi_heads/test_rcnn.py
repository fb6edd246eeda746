"""R-CNN's crops and the network on them."""

import pytest
import torch
from torch.testing import assert_close

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.contracts import scenes
from detkit.errors import UserError
from detkit.roi_heads import crop_network
from detkit.roi_heads.warped_crop import WarpedCrop
from detkit.structures import FeatureSpec

SMALL = [
    "model=rcnn",
    "model.roi_head.pooling.size=32",
    "model.roi_head.pooling.context=4",
    "model/roi_head/box_head/backbone=timm",
    "model.roi_head.box_head.backbone.model=test_resnet",
    "model.roi_head.box_head.width=16",
    "model.roi_head.box_head.cells=1",
    "model.proposer.sizes=[0.5]",
]


def crop(size, context):
    return WarpedCrop(feature_specs=[FeatureSpec(3, 1)], size=size, context=context)


def ramp(height=20, width=30):
    """An image whose values are x + 100 y at pixel centres."""
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    return (x + 100 * y[:, None]).expand(1, 3, -1, -1)


def test_a_region_without_context_is_resized():
    crops = crop(2, 0)([ramp()], torch.tensor([[4.0, 6, 8, 14]]), torch.tensor([0]))
    centres = torch.tensor([[5 + 800.0, 7 + 800], [5 + 1200, 7 + 1200]])
    assert_close(crops, centres.expand(1, 3, 2, 2))


def test_the_region_ends_where_the_context_begins():
    # 4 of 8 cells along each side are the region's; each is a pixel wide and two high.
    crops = crop(8, 2)([ramp()], torch.tensor([[10.0, 6, 14, 14]]), torch.tensor([0]))
    assert_close(crops[0, 0, 2, 2], torch.tensor(10.5 + 700))
    assert_close(crops[0, 0, 0, 0], torch.tensor(8.5 + 300))


def test_outside_of_the_image_is_the_mean_colour():
    crops = crop(8, 2)([ramp() + 1], torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([0]))
    assert not crops[0, :, 0].any()
    assert crops[0, :, 2:, 2:].all()


def test_a_context_that_leaves_no_region_is_refused():
    with pytest.raises(UserError, match="leaves nothing of a square of 32"):
        crop(32, 16)


def build(*words):
    torch.manual_seed(0)
    model = compose("train", [*SMALL, *words])["model"]
    return assembly.build_detector(model, Classes(["a", "b", "c"], [1, 2, 3]))


def test_a_network_needs_crops_of_the_image():
    with pytest.raises(UserError, match="crops of the image, which have 3 channels, got 32"):
        build(
            "model/backbone=timm", "model.backbone.model=test_resnet", "model.backbone.levels=[2]"
        )


def test_losses_reach_the_network_of_the_crops():
    detector = build()
    sum(detector.loss(scenes.batch(scenes.usual_targets())).values()).backward()
    assert all(p.grad is not None for p in detector.roi_head.stage.box_head.parameters())


def test_predictions_in_chunks_are_the_same(monkeypatch):
    detector, batch = build().eval(), scenes.batch(scenes.usual_targets())
    expected = detector.predict(batch)
    monkeypatch.setattr(crop_network, "_ROWS", 4)
    for image, same in zip(detector.predict(batch), expected, strict=True):
        assert_close(image.scores, same.scores)
