"""Detectors of MMDetection from its own configurations, with random weights, for tests."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import nms

NUM_CLASSES = 3
CONFIGS = {
    "retinanet": "retinanet/retinanet_r50_fpn_1x_coco.py",
    "fcos": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "atss": "atss/atss_r50_fpn_1x_coco.py",
    "faster_rcnn": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    "cascade_rcnn": "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "ssd300": "ssd/ssd300_coco.py",
    "yolov3": "yolo/yolov3_d53_8xb8-ms-608-273e_coco.py",
    "yolox_s": "yolox/yolox_s_8xb8-300e_coco.py",
}
# Output layers, with the mean and the deviation that their outputs get.
SPREAD = {
    "retinanet": {"bbox_head.retina_cls": (-6, 1.5), "bbox_head.retina_reg": (0, 0.3)},
    "fcos": {
        "bbox_head.conv_cls": (-4, 1.5),
        "bbox_head.conv_reg": (3, 0.5),
        "bbox_head.conv_centerness": (1, 1),
    },
    "atss": {
        "bbox_head.atss_cls": (-4, 1.5),
        "bbox_head.atss_reg": (0, 0.7),
        "bbox_head.atss_centerness": (1, 1),
    },
    "faster_rcnn": {
        "rpn_head.rpn_cls": (-2, 2),
        "rpn_head.rpn_reg": (0, 0.3),
        "roi_head.bbox_head.fc_cls": (0, 1.5),
        "roi_head.bbox_head.fc_reg": (0, 0.7),
    },
    "cascade_rcnn": {
        "rpn_head.rpn_cls": (-2, 2),
        "rpn_head.rpn_reg": (0, 0.3),
        **{f"roi_head.bbox_head.{stage}.fc_cls": (0, 1.5) for stage in range(3)},
        **{f"roi_head.bbox_head.{stage}.fc_reg": (0, 0.7) for stage in range(3)},
    },
    "ssd300": {
        f"bbox_head.{kind}_convs.{level}.0": spread
        for kind, spread in {"cls": (0, 1.5), "reg": (0, 0.7)}.items()
        for level in range(6)
    },
    "yolov3": {f"bbox_head.convs_pred.{level}": (-1, 1) for level in range(3)},
    "yolox_s": {
        f"bbox_head.multi_level_conv_{name}.{level}": spread
        for name, spread in {"cls": (-1, 1.5), "reg": (0, 0.7), "obj": (-1, 1.5)}.items()
        for level in range(3)
    },
}


def mmdet_model(name: str, images: Tensor) -> nn.Module:
    """A detector of MMDetection in evaluation mode, with some detections in `images`.

    Its compiled operations are missing in mmcv-lite; torchvision's NMS and RoIAlign replace them.

    Args:
        name: One of `CONFIGS`.
        images: (B, 3, H, W), normalised.
    """
    pytest.importorskip("mmengine", reason="the reference is MMDetection, which is not installed")
    if "mmcv._ext" not in sys.modules:
        sys.modules["mmcv._ext"] = MagicMock(__file__="", __spec__=None)
    pytest.importorskip("mmdet.models", reason="MMDetection is not installed")
    import mmcv.ops  # noqa: F401  # the package's attribute nms is a function
    import mmdet
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    def torchvision_nms(boxes, scores, iou_threshold, offset):  # mmcv's arguments
        return nms(boxes, scores, iou_threshold)

    sys.modules["mmcv.ops.nms"].ext_module = types.SimpleNamespace(nms=torchvision_nms)
    path = Path(mmdet.__file__).parent / ".mim/configs" / CONFIGS[name]
    config = Config.fromfile(path).model
    config.backbone.init_cfg = None
    _set_everywhere(config, "num_classes", NUM_CLASSES)
    _set_everywhere(config, "roi_layer", None)
    init_default_scope("mmdet")
    torch.manual_seed(0)
    if name == "yolov3":
        config.test_cfg.nms_pre = 10_000
        config.test_cfg.nms.iou_threshold = 1.0
    model = MODELS.build(config)
    if name == "ssd300":  # 3.3.0 reads this attribute, which SSD lacks: MMDetection's issue 11780
        model.bbox_head.loss_cls = None
        nn.init.constant_(model.neck.l2_norm.weight, model.neck.l2_norm.scale)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
    _spread(model.eval(), images, SPREAD[name])
    return model


def _set_everywhere(config, key, value):
    """Set a key wherever it occurs; RoIAlign becomes torchvision's."""
    for name, inner in config.items():
        if name == key:
            config[name] = {**inner, "use_torchvision": True} if value is None else value
        for part in inner if isinstance(inner, list) else [inner]:
            if hasattr(part, "items"):
                _set_everywhere(part, key, value)


def samples(sizes, padded):
    """MMDetection's data samples for images of these sizes, padded to another."""
    from mmdet.structures import DetDataSample

    metas = [
        {
            "img_shape": size,
            "ori_shape": size,
            "pad_shape": padded,
            "batch_input_shape": padded,
            "scale_factor": (1.0, 1.0),
        }
        for size in sizes
    ]
    return [DetDataSample(metainfo=meta) for meta in metas]


def samples_with_objects(batch):
    """The same with the boxes and labels of a batch of detkit."""
    from mmengine.structures import InstanceData

    result = samples(batch.image_sizes, tuple(batch.images.shape[-2:]))
    for sample, target in zip(result, batch.targets.split(), strict=True):
        sample.gt_instances = InstanceData(bboxes=target.boxes.clone(), labels=target.labels)
    return result


@torch.no_grad()
def _spread(model, images, layers):
    """Weights as of a trained network: normal features, a few good scores, boxes near priors."""
    for name, block in model.named_modules():
        if name.startswith("backbone.layer") and hasattr(block, "norm3"):
            nn.init.constant_(block.norm3.weight, 0.2)  # else rounding errors grow a lot
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum, norm.training = None, True  # take the statistics from `images`
    model.extract_feat(images)
    for norm in norms:
        norm.training = False
    size = tuple(images.shape[-2:])
    for name, (mean, std) in layers.items():
        layer, outputs = model.get_submodule(name), []
        handle = layer.register_forward_hook(lambda *args, o=outputs: o.append(args[2].flatten()))
        model.predict(images, samples([size] * len(images), size))
        handle.remove()
        values = torch.cat(outputs)
        factor = std / values.std()
        layer.weight.mul_(factor)
        layer.bias.sub_(values.mean()).mul_(factor).add_(mean)
