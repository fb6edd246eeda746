"""YOLOX and Ultralytics by tensor names; tests/parity compares the outputs of whole networks."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.weights.ultralytics_source import is_ultralytics, read_ultralytics
from detkit.weights.yolox_source import is_yolox, unfolded_stem

YOLOV5 = {
    "model.0.conv.weight": torch.zeros(16, 3, 6, 6),
    "model.9.cv2.conv.weight": torch.ones(1),
    "model.23.cv2.conv.weight": torch.ones(1),
    "model.23.cv3.conv.weight": torch.ones(1),
    "model.24.anchors": torch.full((3, 3, 2), 0.5),
    **{f"model.24.m.{level}.weight": torch.zeros(3 * 7, 4, 1, 1) for level in range(3)},
    **{f"model.24.m.{level}.bias": torch.arange(21.0) for level in range(3)},
}

YOLO11_NAMES = {
    "model.6.m.0.m.1.cv2.bn.weight": "backbone.stages.3.1.blocks.0.blocks.1.spread.norm.weight",
    "model.6.m.0.cv2.conv.weight": "backbone.stages.3.1.blocks.0.past.conv.weight",
    "model.6.m.0.cv3.conv.weight": "backbone.stages.3.1.blocks.0.join.conv.weight",
    "model.10.m.0.attn.qkv.conv.weight": (
        "neck.necks.psa.attention.blocks.0.attention.projection.conv.weight"
    ),
    "model.10.m.0.ffn.1.bn.bias": "neck.necks.psa.attention.blocks.0.feed_forward.1.norm.bias",
    "model.16.m.0.cv1.conv.weight": "neck.necks.pan.upward.0.blocks.0.squeeze.conv.weight",
    "model.22.cv2.conv.weight": "neck.necks.pan.downward.1.join.conv.weight",
    "model.23.cv3.1.0.1.conv.weight": "head.layers.class_towers.1.0.1.conv.weight",
    "model.23.cv3.2.2.weight": "head.layers.class_layers.2.weight",
}
YOLO11 = {
    **dict.fromkeys(YOLO11_NAMES, torch.zeros(1)),
    "model.0.conv.weight": torch.zeros(64, 3, 3, 3),
    "model.23.cv2.0.2.weight": torch.zeros(64, 96, 1, 1),
    "model.23.cv3.0.2.weight": torch.zeros(2, 48, 1, 1),
    "model.23.cv3.0.2.bias": torch.zeros(2),
}


def test_yolox_first_layer_as_one_convolution_of_an_rgb_image():
    weight, image = torch.randn(4, 12, 3, 3), torch.randn(1, 3, 8, 12)  # BGR
    corners = [image[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
    expected = F.conv2d(torch.cat(corners, dim=1), weight, padding=1)
    found = F.conv2d(image.flip(1), unfolded_stem(weight), stride=2, padding=2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_yolov5_is_recognised_with_its_anchors_and_licence():
    source = read_ultralytics(Path("a.pt"), YOLOV5)
    assert (source.page, source.logits) == ("yolov5n", 2)
    assert "AGPL-3.0" in source.notes[0]
    sizes = "[[[4.0,4.0],[4.0,4.0],[4.0,4.0]],"
    assert any(word.startswith(f"model.head.priors.sizes={sizes}") for word in source.overrides)


def test_outputs_of_yolov5_are_separated_by_kind():
    tensors = read_ultralytics(Path("a.pt"), YOLOV5).tensors
    assert tensors["head.layers.quality_layers.0.bias"].tolist() == [4, 11, 18]
    assert tensors["head.layers.class_layers.2.bias"].tolist() == [5, 6, 12, 13, 19, 20]
    assert "neck.necks.pan.downward.1.past.conv.weight" in tensors
    assert "neck.necks.spp.pooling.join.conv.weight" in tensors


def test_networks_for_masks_and_other_sizes_are_left_to_their_backbone():
    assert is_ultralytics(YOLOV5)
    assert not is_ultralytics({**YOLOV5, "model.24.proto.cv1.conv.weight": 0})
    assert not is_yolox({"head.obj_preds.0.weight": 0, "backbone.backbone.dark2.0.dconv.x": 0})


@pytest.mark.parametrize(("more", "letter"), [([], "m"), (["model.2.m.1.cv1.conv.weight"], "l")])
def test_yolo11_is_recognised_with_its_size_and_widths(more, letter):
    source = read_ultralytics(Path("a.pt"), {**YOLO11, **dict.fromkeys(more, torch.zeros(1))})
    assert (source.page, source.logits) == (f"yolo11{letter}", 2)
    assert "model.head.layers.class_channels=48" in source.overrides
    assert "model.head.layers.box_channels=96" in source.overrides
    assert "AGPL-3.0" in source.notes[0]


def test_tensors_of_yolo11_get_detkits_names():
    tensors = read_ultralytics(Path("a.pt"), YOLO11).tensors
    assert set(YOLO11_NAMES.values()) - set(tensors) == set()


def test_an_unpublished_size_is_refused():
    message = r"a YOLO11 with 24 channels in its first convolution.*16 \(n\), 32 \(s\), 64 \(m\)"
    tensors = {**YOLO11, "model.0.conv.weight": torch.zeros(24, 3, 3, 3)}
    with pytest.raises(UserError, match=message):
        read_ultralytics(Path("a.pt"), tensors)
