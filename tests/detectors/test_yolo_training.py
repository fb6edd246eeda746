"""YOLO's pages learn, also with a batch without any box among the others."""

import pytest
import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.data.shapes import render_shapes
from detkit.structures import Batch, Target


def batch_without_boxes(count, side):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    nothing = [Target.empty() for _ in range(count)]
    return Batch(
        images=images,
        image_sizes=[(side, side)] * count,
        targets=nothing,
        original_targets=nothing,
        image_ids=list(range(count)),
        paths=[""] * count,
        original_sizes=[(side, side)] * count,
        to_image=torch.eye(3, dtype=torch.float64).repeat(count, 1, 1),
    )


def first_images(folder, count, side, *words):
    """Pictures of the embedded data set as one batch, and the detector and metric for them."""
    render_shapes(folder, train_images=count, validation_images=1, image_size=side, seed=0)
    settings = [f"data.path={folder}", f"data.reader.image_size={side}", "data.workers=0"]
    settings += [f"data.reader.train_images={count}", "data.reader.validation_images=1"]
    settings += [f"data.batch_size={count}", "augmentation.train.mirror=null"]
    config = compose("train", [*words, *settings])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids)
    torch.manual_seed(0)
    detector = assembly.build_detector(config["model"], classes)
    return next(iter(data.train_loader())), detector, assembly.build_metric(config, classes)


def train(detector, batches, steps, rate):
    """The total loss of each step; batches take turns."""
    optimizer = torch.optim.AdamW(detector.parameters(), lr=rate)
    totals = []
    for step in range(steps):
        factor = min(1.0, (step + 1) / 10) * (1.0 if step < 0.7 * steps else 0.2)
        optimizer.param_groups[0]["lr"] = rate * factor
        total = sum(detector.loss(batches[step % len(batches)]).values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimizer.step()
        totals.append(total.item())
    return totals


TINY = ["model=yolov5n", "model.backbone.width=0.125"]


@pytest.mark.parametrize(
    "words",
    [
        TINY,
        [*TINY, "model/head=yolov3"],
        [*TINY, "model/head=yolov4"],
        [*TINY, "model/neck=yolov3", "model/head=fcos"],
        ["model=yolov5n", "model/backbone=timm", "model.backbone.model=test_resnet"],
    ],
    ids=["yolov5", "yolov3", "yolov4", "neck of yolov3 and fcos", "another backbone"],
)
# pain 14
def test_the_loss_falls_with_a_batch_without_boxes_among_the_others(tmp_path, words):
    batch, detector, _ = first_images(tmp_path / "shapes", 2, 64, *words)
    totals = train(detector, [batch, batch_without_boxes(2, 64)], 10, 0.003)
    assert totals[-2] + totals[-1] < totals[0] + totals[1]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["yolov3", "yolov4", "yolov5", "yolov5n", "yolov5s"])
def test_eight_images_one_without_boxes_are_learned_by_heart(tmp_path, page):
    batch, detector, metric = first_images(tmp_path / "shapes", 8, 96, f"model={page}")
    small = sum(parameter.numel() for parameter in detector.parameters()) < 1e7
    assert min(map(len, batch.targets)) == 0
    steps, rate = (100, 0.003) if small else (80, 0.001)
    train(detector, [batch], steps, rate)
    metric.update(batch.image_ids, detector.eval().predict(batch), batch.original_targets)
    assert metric.compute()["AP50"] >= 0.95
