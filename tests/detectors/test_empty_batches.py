"""A batch without objects pushes no page harder than one with many: it would undo their work."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from eight_images import batch_without_boxes
from rectangle_masks import with_rectangles

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.structures import PaddedTargets, Target

PAGES = sorted(path.stem for path in Path(__file__).parents[2].glob("conf/model/*.yaml"))
QUICK = ("ssdlite", "yolo_free_n", "yolov5n")  # one of each way to divide
TIMM = ["model/backbone=timm", "model.backbone.model=test_resnet"]
DARKNET = ("yolov1", "yolov2", "yolov3", "yolov4")  # whose networks have a fixed width
NARROW = ["model.backbone.depth=0.33", "model.backbone.width=0.125"]
CORNERNET = [
    "model/backbone=hourglass",
    "model.backbone.levels=[2]",
    "model.backbone.channels=[16,16]",
    "model.backbone.blocks=[1,1]",
    "model.backbone.all_stacks=true",
    "model.head.width=16",
    "model.head.pooling_width=16",
]
SEVERAL_STAGES = ["model.backbone.levels=[2,3,4,5]", "model.roi_head.box_head.width=64"]
RCNN = [
    "model/roi_head/box_head/backbone=timm",
    "model.roi_head.box_head.backbone.model=test_resnet",
    "model.roi_head.box_head.width=64",
    "model.roi_head.pooling.size=48",
]
OTHER_NETWORKS = {
    "cornernet": CORNERNET,
    "fast_rcnn": [*TIMM, "model.backbone.levels=[4]", "model.roi_head.box_head.width=64"],
    "rcnn": RCNN,
}
# DETR's class loss is a weighted mean over 100 queries. Ten matched queries have the weight 1, the
# others 0.1, which is 47 % of the sum; without objects it is all of it.
LIMITS = {"detr": 2.2}
QUICK_SIDE, SIDE, OBJECTS, CLASSES = 192, 448, 10, 20


def words(page, side):
    """A page with a small network, for images of one size."""
    if "ssd" in page:
        return [f"model.head.priors.image_size=[{side},{side}]", "model.head.priors.steps=null"]
    if page in OTHER_NETWORKS:
        return OTHER_NETWORKS[page]
    if page.startswith(DARKNET) or not page.startswith("yolo"):
        if page == "faster_rcnn_c4":
            return [*TIMM, "model.backbone.levels=[4]"]
        narrow = ["model.neck.out_channels=32"] if page == "yolov1" else []
        return [*TIMM, *(SEVERAL_STAGES if "rcnn" in page else narrow)]
    return NARROW


def with_objects(batch):
    side = batch.images.shape[-1]
    generator = torch.Generator().manual_seed(0)
    targets = []
    for _ in batch.paths:
        centres, sides = torch.rand(2, OBJECTS, 2, generator=generator)
        centres, sides = side * (0.1 + 0.8 * centres), side * (0.06 + 0.25 * sides)
        boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1).clamp(0, side)
        labels = torch.randint(CLASSES, (OBJECTS,), generator=generator)
        target = Target(boxes, labels, torch.zeros(OBJECTS, dtype=torch.bool))
        targets.append(with_rectangles(target))
    return replace(batch, targets=PaddedTargets.of(targets, batch.image_sizes))


def gradient_norm(detector, batch):
    detector.zero_grad()
    torch.manual_seed(0)
    torch.stack(
        [v for k, v in detector.loss(batch).items() if k.startswith("loss/")]
    ).sum().backward()
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    return torch.stack([gradient.norm() for gradient in gradients]).norm().item()


def ratio(page, images, side):
    """The gradient norm of a batch without objects over that of one with ten in each image."""
    model = compose("train", [f"model={page}", *words(page, side)])["model"]
    torch.manual_seed(0)
    classes = Classes([f"class {i}" for i in range(CLASSES)], list(range(1, CLASSES + 1)))
    detector = assembly.build_detector(model, classes, fetch_weights=False)
    empty = batch_without_boxes(images, side)
    return gradient_norm(detector, empty) / gradient_norm(detector, with_objects(empty))


@pytest.mark.parametrize("page", QUICK)
# pain 50
def test_gradient_of_a_batch_without_objects_is_bounded(page):
    assert 0 < ratio(page, 2, QUICK_SIDE) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_nor_does_a_larger_one_of_larger_images_with_any_page(page):
    assert 0 < ratio(page, 4, SIDE) <= LIMITS.get(page, 2)
