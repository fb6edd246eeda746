"""Detectors of Detectron2 from its own configurations, with random weights, for tests.

They need Detectron2's Python sources, which need not be compiled, and fvcore, iopath and yacs.
"""

from __future__ import annotations

import sys
import types
from importlib import util
from pathlib import Path

import PIL.Image
import pytest
import torch
from torch import nn

NUM_CLASSES = 3
CONFIGS = {
    "retinanet": "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
    "faster_rcnn": "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
    "mask_rcnn": "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
    "cascade_rcnn": "Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml",
    "cascade_mask_rcnn": "Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml",
}
# Output layers, with the mean and the deviation that their outputs get.
_RPN = {
    "proposal_generator.rpn_head.objectness_logits": (-2, 2),
    "proposal_generator.rpn_head.anchor_deltas": (0, 0.3),
}
_REGIONS = {
    "roi_heads.box_predictor.cls_score": (0, 1.5),
    "roi_heads.box_predictor.bbox_pred": (0, 0.7),
}
_MASKS = {"roi_heads.mask_head.predictor": (0, 1.5)}
_STAGES = {
    f"roi_heads.box_predictor.{stage}.{layer}": spread
    for stage in range(3)
    for layer, spread in {"cls_score": (0, 1.5), "bbox_pred": (0, 0.7)}.items()
}
SPREAD = {
    "retinanet": {"head.cls_score": (-6, 1.5), "head.bbox_pred": (0, 0.3)},
    "faster_rcnn": _RPN | _REGIONS,
    "mask_rcnn": _RPN | _REGIONS | _MASKS,
    "cascade_rcnn": _RPN | _STAGES,
    "cascade_mask_rcnn": _RPN | _STAGES | _MASKS,
}


class _CompiledOperations(types.ModuleType):
    """Replaces `detectron2._C`: deformable convolutions and rotated boxes, which no test uses."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"{name} is a compiled operation of Detectron2, which is not built")


def detectron2_model(name, inputs):
    """A detector of Detectron2 in evaluation mode, with some detections in its inputs.

    NMS and RoIAlign are torchvision's, as in each installation of Detectron2.

    Args:
        name: One of `CONFIGS`.
        inputs: From `inputs_of_detectron2`.
    """
    if util.find_spec("detectron2") is None or util.find_spec("fvcore") is None:
        pytest.skip("the reference is Detectron2 with fvcore, which are not installed")
    if "detectron2._C" not in sys.modules and util.find_spec("detectron2._C") is None:
        sys.modules["detectron2._C"] = _CompiledOperations("detectron2._C")
    if not hasattr(PIL.Image, "LINEAR"):  # the old name, which Detectron2 reads on import
        PIL.Image.LINEAR = PIL.Image.BILINEAR
    import detectron2
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    config = get_cfg()
    folder = Path(detectron2.__file__).parent / "model_zoo/configs"
    config.merge_from_file(str(folder / CONFIGS[name]), allow_unsafe=True)
    config.MODEL.DEVICE = "cpu"
    config.MODEL.MASK_ON = "mask" in name
    config.MODEL.RETINANET.NUM_CLASSES = config.MODEL.ROI_HEADS.NUM_CLASSES = NUM_CLASSES
    torch.manual_seed(0)
    model = build_model(config).eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
    _spread(model, inputs, SPREAD[name])
    return model


def inputs_of_detectron2(batch, *, with_objects=False):
    """The images of a batch as Detectron2 takes them: BGR, without padding.

    Args:
        batch: Of detkit.
        with_objects: Add the boxes and labels, to compute losses.
    """
    inputs = [
        {"image": image[:, :height, :width].flip(0)}
        for image, (height, width) in zip(batch.images, batch.image_sizes, strict=True)
    ]
    if with_objects:
        from detectron2.structures import Boxes, Instances

        targets = batch.targets.split()
        for image, size, target in zip(inputs, batch.image_sizes, targets, strict=True):
            boxes = Boxes(target.boxes.clone())
            image["instances"] = Instances(size, gt_boxes=boxes, gt_classes=target.labels)
    return inputs


@torch.no_grad()
def _spread(model, inputs, layers):
    """Weights as of a trained network: normal features, a few good scores, boxes near priors."""
    for name, block in model.named_modules():
        if ".res" in name and hasattr(block, "conv3"):
            nn.init.constant_(block.conv3.norm.weight, 0.2)  # else rounding errors grow a lot
    norms = [module for module in model.modules() if hasattr(module, "running_mean")]
    handles = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    model.backbone(model.preprocess_image(inputs).tensor)
    for handle in handles:
        handle.remove()
    for name, (mean, std) in layers.items():
        layer, outputs = model.get_submodule(name), []
        handle = layer.register_forward_hook(lambda *args, o=outputs: o.append(args[2].flatten()))
        model(inputs)
        handle.remove()
        values = torch.cat(outputs)
        factor = std / values.std()
        layer.weight.mul_(factor)
        layer.bias.sub_(values.mean()).mul_(factor).add_(mean)


def _take_statistics(norm, inputs):
    """Normalise with the statistics of the inputs, and keep them."""
    norm.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    norm.running_var.copy_(inputs[0].var(dim=(0, 2, 3)))
