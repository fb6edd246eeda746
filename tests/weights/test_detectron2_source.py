"""What the tensor names of Detectron2 tell; tests/parity/test_imported_detectron2.py has values."""

from pathlib import Path

import pytest
import torch

from detkit.weights.detectron2_source import is_detectron2, read_detectron2
from detkit.weights.mmdet_source import is_mmdet

BODY = "backbone.bottom_up."
RESNET = {
    f"{BODY}stem.conv1.weight": torch.arange(6.0).view(2, 3, 1, 1),
    f"{BODY}stem.conv1.norm.weight": torch.ones(2),
    f"{BODY}res2.0.conv2.weight": torch.zeros(2, 2, 1, 1),
    "backbone.fpn_lateral5.weight": torch.zeros(1),
    "backbone.fpn_output5.weight": torch.zeros(1),
}
RETINANET = {
    **RESNET,
    "head.cls_subnet.6.weight": torch.zeros(1),
    "head.cls_score.weight": torch.zeros(9 * 80, 4, 1, 1),
    "head.cls_score.bias": torch.arange(9.0).repeat_interleave(80),
    "head.bbox_pred.weight": torch.zeros(9 * 4, 4, 1, 1),
    "head.bbox_pred.bias": torch.arange(9.0).repeat_interleave(4),
}
RPN = {"proposal_generator.rpn_head.conv.weight": torch.zeros(1)}
FASTER = {
    **RESNET,
    **RPN,
    "roi_heads.box_head.fc2.weight": torch.zeros(1),
    "roi_heads.box_predictor.cls_score.bias": torch.zeros(3),
    "roi_heads.box_predictor.bbox_pred.weight": torch.zeros(8, 4),
    "roi_heads.box_predictor.bbox_pred.bias": torch.arange(8.0),  # two classes of four codes
}
CASCADE = {
    **RESNET,
    **RPN,
    "roi_heads.box_head.2.fc2.weight": torch.zeros(1),
    "roi_heads.box_predictor.0.cls_score.bias": torch.zeros(81),
}
MASK = {"roi_heads.mask_head.mask_fcn4.weight": torch.zeros(1)}


def read(tensors):
    assert is_detectron2(tensors)
    assert not is_mmdet(tensors)
    return read_detectron2(Path("a.pkl"), tensors)


@pytest.mark.parametrize(
    ("tensors", "page", "classes"),
    [
        (RETINANET, "detectron2_retinanet", 80),
        (FASTER, "detectron2_faster_rcnn", 2),
        (FASTER | MASK, "detectron2_mask_rcnn", 2),
        (CASCADE, "detectron2_cascade_rcnn", 80),
        (CASCADE | MASK, "detectron2_cascade_mask_rcnn", 80),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_detectors_are_recognised(tensors, page, classes):
    source = read(tensors)
    assert (source.page, source.logits, source.is_backbone) == (page, classes, False)
    assert (source.slots is not None) == (classes == 80)
    assert (Path("conf/model") / f"{page}.yaml").is_file()


@pytest.mark.parametrize(
    "layer",
    [
        "roi_heads.keypoint_head.conv_fcn1.weight",
        "backbone.fpn_lateral5.norm.weight",
        f"{BODY}res3.0.conv2_offset.weight",
        "roi_heads.box_head.conv1.weight",
        "sem_seg_head.predictor.weight",
    ],
)
def test_relatives_are_left_to_their_backbone(layer):
    source = read({**FASTER, layer: torch.zeros(1)})
    assert source.is_backbone
    assert "backbone.conv1.weight" in source.tensors
    assert "set model.backbone.stride_in_1x1=true" in source.notes[0]


def test_a_resnext_is_left_to_its_backbone():
    assert read({**FASTER, f"{BODY}res2.0.conv2.weight": torch.zeros(4, 1, 1, 1)}).is_backbone


def test_anchors_are_ordered_by_ratio():
    tensors = read(RETINANET).tensors
    assert tensors["head.layers.box_layer.bias"][::4].tolist() == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    assert tensors["head.layers.class_layer.bias"][::80].tolist() == [0, 3, 6, 1, 4, 7, 2, 5, 8]


def test_box_codes_of_regions_are_ordered_by_code():
    tensors = read(FASTER).tensors
    assert tensors["roi_head.stage.box_layer.bias"].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_levels_count_from_the_finest_of_the_detector():
    assert "neck.lateral.3.conv.weight" in read(FASTER).tensors
    assert "neck.lateral.2.conv.weight" in read(RETINANET).tensors


def test_a_norm_without_statistics_has_none_to_subtract():
    tensors = read(FASTER).tensors
    assert tensors["backbone.bn1.running_mean"].tolist() == [0, 0]
    assert tensors["backbone.bn1.running_var"].tolist() == [1, 1]


def test_red_and_blue_are_swapped_unless_the_file_says_rgb():
    assert read(FASTER).tensors["backbone.conv1.weight"].flatten().tolist() == [2, 1, 0, 5, 4, 3]
    means = {"pixel_mean": torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)}
    source = read({**FASTER, **means, "pixel_std": torch.full((3, 1, 1), 58.0)})
    assert source.tensors["backbone.conv1.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert "model.backbone.stride_in_1x1=false" in source.overrides
    assert not source.is_caffe
    assert "pixel_mean" not in source.tensors


def test_a_deeper_resnet_is_selected():
    blocks = {f"{BODY}res4.{i}.conv1.weight": torch.zeros(1) for i in range(23)}
    overrides = read({**FASTER, **blocks}).overrides
    assert overrides[0] == "model/backbone=resnet101"
    assert "model.backbone.levels=[2,3,4,5]" in overrides
