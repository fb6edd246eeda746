"""Detectors, and batches with objects, whose operations are counted."""

from __future__ import annotations

from pathlib import Path

import torch
from rectangle_masks import with_rectangles

import detkit
from detkit import assembly
from detkit.assembly import Classes
from detkit.benchmark.operations import OperationCount, count_operations
from detkit.data.collate import Collate
from detkit.detectors.base import DetectorModule
from detkit.structures import Batch, ClassCounts, Sample, Target

PAGES = sorted(path.stem for path in Path(__file__).parents[1].glob("conf/model/*.yaml"))
TWO_STAGES = tuple(page for page in PAGES if "rcnn" in page)
CPU = torch.device("cpu")
_CLASSES = [str(number) for number in range(80)]
_TINY_RESNET = ["model/backbone=timm", "model.backbone.model=test_resnet"]
_TINY_YOLO = [
    "model/backbone=csp_yolov5",
    "model.backbone.depth=0.33",
    "model.backbone.width=0.125",
]
_NARROW = {
    "yolov1": [
        "model.neck.out_channels=16",
        "model.head.layers.image_size=[96,96]",
        "model.head.layers.local_channels=4",
        "model.head.box_coder.image_size=[96,96]",
    ],
    "yolov2": ["model.neck.out_channels=32"],
    "yolov2_tiny": ["model.neck.out_channels=32"],
    "yolov3_tiny": ["model.neck.channels=16"],
    "yolov4_tiny": ["model.neck.channels=16"],
}
_TINY_DETR = [
    "model.head.width=16",
    "model.head.feed_forward=32",
    "model.head.encoder_layers=1",
    "model.head.decoder_layers=2",
]
_TINY_CORNERNET = [
    "model/backbone=hourglass",
    "model.backbone.channels=[16,16]",
    "model.backbone.blocks=[1,1]",
    "model.backbone.levels=[2]",
    "model.backbone.all_stacks=true",
    "model.head.width=16",
    "model.head.pooling_width=16",
]
_NARROW_REFINEDET = ["model.neck.channels=[16]", "model.head.transfer_neck.out_channels=16"]
_FEW_REGIONS = [
    "model.roi_head.sampler.number=32",
    "model.proposer.training_postprocess.max_candidates=200",
    "model.proposer.training_postprocess.max_detections=100",
]
_TINY_FAST_RCNN = [
    *_TINY_RESNET,
    "model.backbone.levels=[4]",
    "model.roi_head.box_head.width=16",
    "model.roi_head.sampler.number=32",
]
_TINY_RCNN = [
    "model/roi_head/box_head/backbone=timm",
    "model.roi_head.box_head.backbone.model=test_resnet",
    "model.roi_head.box_head.width=16",
    "model.roi_head.box_head.cells=1",
    "model.roi_head.pooling.size=32",
    "model.roi_head.pooling.context=4",
    "model.roi_head.sampler.number=16",
    "model.proposer.sizes=[0.3,0.6]",
]
_OTHER_NETWORKS = {
    "fast_rcnn": _TINY_FAST_RCNN,
    "rcnn": _TINY_RCNN,
    "cornernet": _TINY_CORNERNET,
    "faster_rcnn_c4": [*_TINY_RESNET, "model.backbone.levels=[4]", *_FEW_REGIONS],
}


def small_words(page: str) -> list[str]:
    """Overrides that shrink the network of a page and keep its head, except SSD's network."""
    if page.startswith("yolo"):
        return [*_TINY_YOLO, *_NARROW.get(page, [])]
    if "ssdlite" in page:
        return ["model.head.priors.image_size=[96,96]"]
    if "ssd" in page:
        shrink = ",".join(["half"] * (5 if page == "ssd512" else 4))
        size = ["model.head.priors.image_size=[96,96]", "model.head.priors.steps=null"]
        return [*size, f"model.neck.shrink=[{shrink}]"]
    if page in _OTHER_NETWORKS:
        return [*_OTHER_NETWORKS[page]]
    narrow = _NARROW_REFINEDET if page.startswith("refinedet") else ["model.neck.out_channels=16"]
    words = [*_TINY_RESNET, *narrow, *(_TINY_DETR if page == "detr" else [])]
    if page in TWO_STAGES:
        masks = ["model.roi_head.mask_head.channels=16"] if "mask" in page else []
        return [*words, "model.backbone.levels=[2,3,4,5]", *_FEW_REGIONS, *masks]
    return words


def words_at_320(page: str) -> list[str]:
    """Overrides for images of 320 pixels: ResNet-18 instead of ResNet-50, and sizes of SSD."""
    if "ssd" in page:
        return [word.replace("96", "320") for word in small_words(page)]
    if page.startswith("yolo"):
        return []
    if page == "cornernet":
        return small_words(page)
    if page in ("fast_rcnn", "rcnn"):
        return [word.replace("test_resnet", "resnet18") for word in small_words(page)]
    levels = ["model.backbone.levels=[4]"] if page == "faster_rcnn_c4" else []
    levels = ["model.backbone.levels=[2,3,4,5]"] if page in TWO_STAGES and not levels else levels
    return ["model/backbone=resnet18", *levels]


def detector_of(page: str, *words: str) -> DetectorModule:
    """The untrained detector of a page, for 80 classes."""
    torch.manual_seed(0)
    model = detkit.compose([f"model={page}", *words])["model"]
    counts = ClassCounts(9, [9] * len(_CLASSES), list(range(len(_CLASSES))))
    classes = Classes(_CLASSES, list(range(len(_CLASSES))), counts)
    detector = assembly.build_detector(model, classes)
    assert isinstance(detector, DetectorModule)
    return detector


def batch_of(images: int, side: int, objects: int = 10) -> Batch:
    """Noise with random objects, one of them ignored; masks fill the boxes."""
    random = torch.Generator().manual_seed(images)
    samples = []
    for number in range(images):
        sides = 8 + torch.rand(objects + 1, 2, generator=random) * (side / 2 - 8)
        corners = torch.rand(objects + 1, 2, generator=random) * (side - sides)
        boxes = torch.cat([corners, corners + sides], dim=1)
        labels = torch.randint(len(_CLASSES), (objects + 1,), generator=random)
        target = with_rectangles(Target(boxes, labels, torch.arange(objects + 1) == objects))
        pixels = torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=random)
        samples.append(Sample(pixels, target, target, number, "", (side, side)))
    return Collate(pad_multiple=32)(samples)


def count_step(detector: DetectorModule, batch: Batch) -> OperationCount:
    """The operations of forward, losses and gradients."""
    detector.train().zero_grad(set_to_none=True)

    def step() -> None:
        losses = detector.loss(batch)
        sum(value for name, value in losses.items() if name.startswith("loss/")).backward()

    return count_operations(step, CPU, [batch.to_image])


def count_prediction(detector: DetectorModule, batch: Batch) -> OperationCount:
    """The operations of a prediction."""
    detector.eval()
    return count_operations(lambda: detector.predict(batch), CPU, [batch.to_image])
