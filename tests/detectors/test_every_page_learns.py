"""Each page of conf/model learns, also with a batch without any box among the others.

What a page is about are its neck, head and losses: ResNet-50 makes place for small networks, SSD's
maps for those of small images.
"""

from pathlib import Path

import pytest
from eight_images import batch_without_boxes, first_images, train

PAGES = sorted(path.stem for path in Path(__file__).parents[2].glob("conf/model/*.yaml"))
YOLO = tuple(page for page in PAGES if page.startswith("yolo"))
DARKNET = ("yolov1", "yolov2", "yolov3", "yolov4")  # whose networks have a fixed width
YOLOV1 = [  # 6 x 6 cells, since a cell takes one object
    "model.backbone.levels=[3]",
    "model.neck.out_channels=128",
    "model.head.layers.image_size=[96,96]",
    "model.head.layers.local_channels=64",
    "model.head.layers.dropout=0.0",
    "model.head.box_coder.image_size=[96,96]",
]
TINY_YOLO = ["model.backbone.depth=0.33", "model.backbone.width=0.125"]
SSD = ["model.head.priors.image_size=[96,96]", "model.head.priors.steps=null"]
FEW_REGIONS = [
    "model.roi_head.sampler.number=32",
    "model.proposer.training_postprocess.max_candidates=200",
    "model.proposer.training_postprocess.max_detections=100",
]
# Steps until eight images are known, where that takes long: regions are drawn, anchors are many,
# and the running statistics of the norms in SSDlite and YOLO11 follow slowly.
SLOW_LEARNERS = {
    **{"faster_rcnn": 280, "mask_rcnn": 280, "fsaf": 240, "retinanet": 200, "ssdlite": 300},
    "detr": 240,
    **{"yolov4_tiny": 200, "yolo11": 240},
}
DETR = [
    "model.head.width=64",
    "model.head.feed_forward=128",
    "model.head.queries=12",
    "model.head.encoder_layers=1",
    "model.head.decoder_layers=2",
    "model.head.dropout=0.0",
]
CORNERNET = [
    "model/backbone=hourglass",
    "model.backbone.levels=[2]",
    "model.backbone.channels=[32,32,48]",
    "model.backbone.blocks=[1,1,1]",
    "model.backbone.all_stacks=true",
    "model.head.width=32",
    "model.head.pooling_width=32",
]
OTHER_NETWORKS = {**dict.fromkeys(YOLO, ()), "yolov1": YOLOV1, "cornernet": CORNERNET}
# A finer grid, whose windows fit the small pictures' objects.
GRID = ["model.proposer.sizes=[0.15,0.25,0.4,0.65]", "model.proposer.step=0.4"]
FAST_RCNN = [
    *("model.backbone.levels=[3]", "model.roi_head.box_head.width=64"),
    *("model.roi_head.box_head.dropout=0.0", *GRID),
]
RCNN = [
    *("model.roi_head.pooling.size=48", "model.roi_head.pooling.context=6"),
    *("model.roi_head.box_head.width=64", "model.roi_head.box_head.cells=2"),
    *("model.roi_head.box_head.dropout=0.0", "model.roi_head.sampler.number=16", *GRID),
]
WITHOUT_NECK = {
    "fast_rcnn": FAST_RCNN,
    "faster_rcnn_c4": ["model.backbone.levels=[4]", *FEW_REGIONS],
    "rcnn": RCNN,
}
VGG = [*SSD, "model.backbone.norm=batch", "model.neck.norm=batch"]


def own(page, network):
    """Words that fit a page to small pictures, with a small network for ResNet-50."""
    if page in OTHER_NETWORKS:
        return [f"model={page}", *OTHER_NETWORKS[page]]
    if "ssdlite" in page:
        return [f"model={page}", *SSD]
    if "ssd" in page:
        shrink = ",".join(["half"] * (5 if page == "ssd512" else 4))
        return [f"model={page}", *VGG, f"model.neck.shrink=[{shrink}]"]
    slot = "model/roi_head/box_head/backbone" if page == "rcnn" else "model/backbone"
    model = f"{slot.replace('/', '.')}.model={network}"
    words = [f"model={page}", f"{slot}=timm", model, *WITHOUT_NECK.get(page, ())]
    if page in WITHOUT_NECK:
        return words
    if page.startswith("refinedet"):
        words += ["model.neck.norm=batch", "model.head.transfer_neck.out_channels=64"]
    elif network == "test_resnet":
        words += ["model.neck.out_channels=64"]
    words += DETR if page == "detr" else []
    words += ["model.backbone.levels=[2,3,4,5]"] if page == "densebox" else []
    if "faster" in page or "cascade" in page or "mask" in page:
        narrow = ["model.roi_head.box_head.width=64", "model.backbone.levels=[2,3,4,5]"]
        return [*words, *narrow, *FEW_REGIONS]
    return words


def slow_if(page):
    """Large networks, and pages whose parts others have too."""
    slow = page.startswith(DARKNET) or page in (
        "cornernet",
        "densebox",
        "detr",
        "ssd300",
        "ssd512",
        "cascade_rcnn",
        "faster_rcnn_c4",
        "mask_rcnn",
        "atss",
        "fsaf",
        "fsaf_anchors",
        "refinedet320",
        "refinedet512",
        "retinanet",
        "ssdlite",
        "fast_rcnn",
        "rcnn",
    )
    # With TINY_YOLO, the sizes of one detector are the same network; test_yolo_training.py has
    # that of YOLOv5.
    same = page.startswith(("yolov5", "yolov8", "yolo11", "yolox", "yolo_free_"))
    marked = slow or same or page.startswith(("torchvision_", "mmdet_", "detectron2_", "yolo_free"))
    return pytest.param(page, marks=[pytest.mark.slow] if marked else [])


# pain 14
@pytest.mark.parametrize("page", map(slow_if, PAGES))
def test_the_loss_falls_with_a_batch_without_boxes_among_the_others(tmp_path, page):
    words = own(page, "test_resnet")
    if page in YOLO and not page.startswith(DARKNET):
        words += TINY_YOLO
    batch, detector, _ = first_images(tmp_path / "shapes", 2, 96, *words)
    # The objectness target of YOLOv5 is the IoU: its loss rises while boxes begin to improve.
    steps = 48 if page.startswith("yolov5") else 16
    totals = train(detector, [batch, batch_without_boxes(2, 96)], steps, 0.001)
    assert totals[-2] + totals[-1] < totals[0] + totals[1]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_eight_images_one_without_boxes_are_learned_by_heart(tmp_path, page):
    words = own(page, "test_resnet" if page == "densebox" else "cs3darknet_s")
    batch, detector, metric = first_images(tmp_path / "shapes", 8, 96, *words)
    small = sum(parameter.numel() for parameter in detector.parameters()) < 1e7
    assert min(batch.targets.counts) == 0
    steps, rate = (120, 0.003) if small and page != "detr" else (80, 0.001)
    steps = max([steps, *(n for name, n in SLOW_LEARNERS.items() if name in page)])
    train(detector, [batch], steps, rate)
    metric.update(batch.image_ids, detector.eval().predict(batch), batch.original_targets)
    assert metric.compute()["AP50"] >= 0.95
