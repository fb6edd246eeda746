"""Count operations and host reads beside Ultralytics and torchvision: 8 images of 320 px.

Each image has 10 objects. Counts do not depend on the machine; those of predictions depend on the
random weights, since post-processing works class by class on some sides. A host read is an
operation that makes the host wait for the device: see detkit/benchmark/operations.py, which counts
both sides. A step is forward, losses and gradients; Ultralytics' prediction includes its NMS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from measure import Comparison, report
from sides import batch_of, has_ultralytics, our_detector, random_targets
from torch import Tensor
from torchvision.models import detection

from detkit.benchmark.operations import OperationCount, count_operations
from detkit.structures import Target

SIDE, BATCH, OBJECTS, CLASSES = 320, 8, 10, 80
LOW = 1e-6
REMARK = "Ultralytics' threshold is 1e-6, so that its untrained model has boxes to compare"
CPU = torch.device("cpu")
RESNET18 = ("model/backbone=resnet18",)
PAGES: dict[str, tuple[str, ...]] = {
    "yolo_free_n": (),
    "yolov5n": (),
    "retinanet": RESNET18,
    "fcos": RESNET18,
    "atss": RESNET18,
    "ssdlite": (),
    "faster_rcnn": RESNET18,
}
# Before objects were matched and detected for the whole batch (commit ea7847e): operations and host
# reads of the step, then of the prediction.
BEFORE = {
    "yolo_free_n": (3003, 156, 2599, 368),
    "yolov5n": (2198, 38, 1195, 48),
    "retinanet": (2402, 36, 1245, 64),
    "fcos": (2205, 38, 7078, 1360),
    "atss": (2607, 56, 1326, 72),
    "ssdlite": (2183, 85, 7364, 1376),
    "faster_rcnn": (3118, 236, 2037, 221),
}
Counts = tuple[OperationCount, OperationCount]


def count_pair(step: Callable[[], object], prediction: Callable[[], object]) -> Counts:
    """The counts of a training step and of a prediction, each after a run that fills caches."""
    step()
    training = count_operations(step, CPU)
    prediction()
    return training, count_operations(prediction, CPU)


def ours(page: str, images: Tensor, targets: list[Target]) -> Counts:
    """The counts of a page."""
    detector = our_detector(page, CLASSES, *PAGES.get(page, ()))
    batch = batch_of(images, targets)

    def step() -> None:
        detector.train().zero_grad(set_to_none=True)
        losses = detector.loss(batch)
        parts = [value.float() for name, value in losses.items() if name.startswith("loss/")]
        torch.stack(parts).sum().backward()

    step()
    detector.zero_grad(set_to_none=True)
    training = count_operations(step, CPU, [batch.to_image])
    detector.eval().predict(batch)
    return training, count_operations(lambda: detector.predict(batch), CPU, [batch.to_image])


def torchvision(build: Callable[..., Any], images: Tensor, targets: list[Target]) -> Counts:
    """The counts of one of torchvision's detectors."""
    sizes = {} if build is detection.ssdlite320_mobilenet_v3_large else _sizes()
    model = build(weights=None, weights_backbone=None, num_classes=CLASSES, **sizes)
    pictures = [image.float() / 255 for image in images]
    truth = [{"boxes": target.boxes, "labels": target.labels} for target in targets]

    def step() -> None:
        model.train().zero_grad(set_to_none=True)
        sum(model(pictures, truth).values()).backward()

    def predict() -> None:
        with torch.no_grad():
            model.eval()(pictures)

    return count_pair(step, predict)


def _sizes() -> dict[str, int]:
    return {"min_size": SIDE, "max_size": SIDE}


def ultralytics(images: Tensor, targets: list[Target]) -> Counts:
    """The counts of Ultralytics' yolov8n."""
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.nms import non_max_suppression

    model = DetectionModel("yolov8n.yaml", nc=CLASSES, verbose=False)
    model.args = get_cfg()
    boxes = torch.cat([target.boxes for target in targets]) / SIDE
    batch = {
        "img": images.float() / 255,
        "batch_idx": torch.arange(len(targets)).repeat_interleave(OBJECTS).float(),
        "cls": torch.cat([target.labels for target in targets])[:, None].float(),
        "bboxes": torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1),
    }

    def step() -> None:
        model.train().zero_grad(set_to_none=True)
        model.loss(batch)[0].sum().backward()

    def predict() -> None:
        with torch.no_grad():
            non_max_suppression(model.eval()(batch["img"]), conf_thres=LOW)

    return count_pair(step, predict)


def comparisons(counts: dict[str, Counts], peers: dict[str, Counts]) -> list[Comparison]:
    """The operations of the nano YOLOs; host reads are in the table of counts."""
    peer = peers.get("Ultralytics yolov8n")
    if peer is None:
        return []
    work = (
        f"operations of a {name}, yolo_free_n, batch {BATCH}" for name in ("step", "prediction")
    )
    sides = zip(work, counts["yolo_free_n"], peer, ("", REMARK), strict=True)
    return [
        Comparison(
            work=name,
            peer="Ultralytics yolov8n",
            at_most=1.2,
            unit="operations",
            ours=[own.operations],
            theirs=[their.operations],
            remark=remark,
        )
        for name, own, their, remark in sides
    ]


def rows(counts: dict[str, Counts]) -> dict[str, list[int]]:
    """The four numbers of each detector."""
    return {
        name: [number for count in pair for number in (count.operations, count.host_reads)]
        for name, pair in counts.items()
    }


def main() -> None:
    """Count all detectors."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8)
    targets = random_targets(BATCH, OBJECTS, CLASSES, SIDE)
    counts = {page: ours(page, images, targets) for page in PAGES}
    peers = {
        "torchvision retinanet (R50)": torchvision(
            detection.retinanet_resnet50_fpn, images, targets
        ),
        "torchvision ssdlite": torchvision(
            detection.ssdlite320_mobilenet_v3_large, images, targets
        ),
    }
    if has_ultralytics():
        peers["Ultralytics yolov8n"] = ultralytics(images, targets)
    for name, numbers in rows(counts | peers).items():
        print(f"{name:30}", *(f"{number:8,}" for number in numbers), flush=True)
    if "--lines" in sys.argv:
        for name, pair in counts.items():
            for count, verb in zip(pair, ("step", "prediction"), strict=True):
                print("", f"{name}, {verb}:", *count.lines(), sep="\n  ")
    report(comparisons(counts, peers), before=BEFORE, after=rows(counts), peers=rows(peers))


if __name__ == "__main__":
    main()
