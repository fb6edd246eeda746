"""What the tensor names of MMDetection tell; tests/parity/test_imported_mmdet.py has its values."""

from pathlib import Path

import torch

from detkit.weights.mmdet_source import is_mmdet, read_mmdet

STEM = "backbone.conv1.weight"
RETINANET = {
    STEM: torch.arange(6.0).view(2, 3, 1, 1),
    "bbox_head.retina_cls.weight": torch.zeros(9 * 80, 4, 1, 1),
    "bbox_head.retina_cls.bias": torch.zeros(9 * 80),
    "bbox_head.retina_reg.weight": torch.zeros(9 * 4, 4, 1, 1),
}
FASTER = {
    STEM: torch.zeros(2, 3, 1, 1),
    "rpn_head.rpn_cls.weight": torch.zeros(3, 4, 1, 1),
    "roi_head.bbox_head.fc_cls.weight": torch.zeros(3, 4),
    "roi_head.bbox_head.fc_cls.bias": torch.zeros(3),
    "roi_head.bbox_head.fc_reg.weight": torch.zeros(8, 4),
    "roi_head.bbox_head.fc_reg.bias": torch.arange(8.0),  # two classes of four codes
}


def read(tensors):
    return read_mmdet(Path("a.pth"), tensors)


def test_retinanet_is_recognised_with_the_classes_of_coco():
    source = read(RETINANET)
    assert (source.page, source.logits) == ("mmdet_retinanet", 80)
    assert source.slots.names[79] == "toothbrush"
    assert "head.layers.class_layer.weight" in source.tensors


def test_other_detectors_of_mmdetection_are_left_to_their_backbone():
    assert not is_mmdet({STEM: 0, "bbox_head.gfl_cls.weight": 0})
    assert not is_mmdet({**RETINANET, "neck.fpn_convs.5.conv.weight": 0})


def test_box_codes_of_regions_are_ordered_by_code():
    source = read(FASTER)
    assert source.tensors["roi_head.stage.box_layer.bias"].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert source.logits == 2


def test_a_deeper_resnet_is_selected():
    blocks = {f"backbone.layer3.{i}.conv1.weight": torch.zeros(1) for i in range(23)}
    overrides = read({**RETINANET, **blocks}).overrides
    assert overrides[0] == "model/backbone=resnet101"
    assert "model.backbone.levels=[3,4,5]" in overrides


def test_ssd_has_a_background_that_is_no_class():
    tensors = {
        "neck.l2_norm.weight": torch.zeros(4),
        "neck.extra_layers.3.1.conv.weight": torch.zeros(1),
        "backbone.features.33.weight": torch.zeros(1),
        "bbox_head.cls_convs.0.0.bias": torch.zeros(4 * 81),
        "bbox_head.reg_convs.0.0.bias": torch.zeros(4 * 4),
    }
    source = read(tensors)
    assert (source.page, source.logits, source.augmentation) == ("mmdet_ssd300", 80, "ssd300")
    assert len(source.slots.names) == 80
    assert {"backbone.scale", "backbone.fc7.weight", "neck.extra.3.conv.weight"} <= set(
        source.tensors
    )
    assert not is_mmdet({**tensors, "neck.extra_layers.4.1.conv.weight": 0})
