"""Training on a few pictures until they are known, the quickest proof that a detector learns."""

import torch
from rectangle_masks import with_rectangles

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.data.shapes import render_shapes
from detkit.structures import Batch, PaddedTargets, Target


def batch_without_boxes(count, side):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    nothing = [with_rectangles(Target.empty()) for _ in range(count)]
    return Batch(
        images=images,
        image_sizes=[(side, side)] * count,
        targets=PaddedTargets.of(nothing, [(side, side)] * count),
        original_targets=nothing,
        image_ids=list(range(count)),
        paths=[""] * count,
        original_sizes=[(side, side)] * count,
        to_image=torch.eye(3, dtype=torch.float64).repeat(count, 1, 1),
    )


def first_images(folder, count, side, *words):
    """Pictures of the embedded data set as one batch, and the detector and metric for them."""
    render_shapes(folder, train_images=count, validation_images=1, image_size=side, seed=0)
    settings = [
        "data=shapes",
        f"data.path={folder}",
        f"data.reader.image_size={side}",
        "data.workers=0",
    ]
    settings += [f"data.reader.train_images={count}", "data.reader.validation_images=1"]
    settings += [f"data.batch_size={count}", "augmentation.train.mirror=null"]
    config = compose("train", [*words, *settings])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids)
    torch.manual_seed(0)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
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
