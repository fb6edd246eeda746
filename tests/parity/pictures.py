"""Batches for parity tests: rendered at random, or from photographs; one image has no box."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch.nn import functional as F
from torchvision.io import decode_image

from detkit.structures import Batch, PaddedTargets, Target

_CLASSES = {"RBC": 0, "WBC": 1, "Platelets": 2}


def _target(boxes, labels):
    return Target(
        torch.tensor(boxes).float().reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.zeros(len(labels), dtype=torch.bool),
    )


def _batch(images, targets, divisor):
    sizes = [tuple(image.shape[-2:]) for image in images]
    height, width = (-(-max(sides) // divisor) * divisor for sides in zip(*sizes, strict=True))
    padded = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
    for place, image, (rows, columns) in zip(padded, images, sizes, strict=True):
        place[:, :rows, :columns] = image
    count = len(images)
    identity = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    names = [str(number) for number in range(count)]
    return Batch(
        padded,
        sizes,
        PaddedTargets.of(targets),
        targets,
        list(range(count)),
        names,
        sizes,
        to_image=identity,
    )


def rendered_batch(divisor, count=2):
    """Rectangles on noise; the second image has no box.

    Args:
        divisor: Of the sides of the batch.
        count: Images.
    """
    generator = torch.Generator().manual_seed(1)
    images, targets = [], []
    for (height, width), objects in [((128, 128), 4), ((100, 120), 0)][:count]:
        shape = (3, height, width)
        image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        boxes = []
        for number in range(objects):
            x, y = (torch.rand(2, generator=generator) * torch.tensor([width, height]) / 2).tolist()
            boxes.append([x, y, x + 20 + 10 * number, y + 50 - 9 * number])
            image[:, int(y) : int(boxes[-1][3]), int(x) : int(boxes[-1][2])] = 60 * number
        images.append(image)
        targets.append(_target(boxes, [number % 3 for number in range(objects)]))
    return _batch(images, targets, divisor)


def photograph_batch(folder: Path, divisor):
    """Every third pixel of three photographs, cut to different sizes; the last has no box."""
    images, targets = [], []
    for name, (height, width) in [
        ("BloodImage_00000", (128, 213)),
        ("BloodImage_00007", (110, 180)),
        ("BloodImage_00012", (100, 110)),
    ]:
        image = decode_image(str(folder / "JPEGImages" / f"{name}.jpg"))[:, ::3, ::3]
        images.append(image[:, :height, :width])
        annotation = (folder / "Annotations" / f"{name}.xml").read_text(encoding="utf-8")
        labels = [_CLASSES[label] for label in re.findall(r"<name>(\w+)</name>", annotation)]
        numbers = re.findall(r"<[xy]m(?:in|ax)>(\d+)</", annotation)
        boxes = torch.tensor([int(number) for number in numbers]).reshape(-1, 4) / 3
        boxes = boxes.minimum(torch.tensor([width, height, width, height]))
        whole = ((boxes[:, 2:] - boxes[:, :2]) > 1).all(dim=1) & (name != "BloodImage_00012")
        kept = [label for label, keep in zip(labels, whole, strict=True) if keep]
        targets.append(_target(boxes[whole].tolist(), kept))
    return _batch(images, targets, divisor)


def squared(batch, side):
    """The first image and any without a box, each resized to a square, as SSD has them."""
    kept = [0, *(number for number, count in enumerate(batch.targets.counts) if count == 0)]
    images, targets = [], []
    for place in kept:
        height, width = batch.image_sizes[place]
        image = batch.images[place : place + 1, :, :height, :width].float()
        resized = F.interpolate(image, size=(side, side), mode="bilinear")
        images.append(resized[0].round().to(torch.uint8))
        factor = torch.tensor([side / width, side / height] * 2)
        old = batch.targets.split()[place]
        targets.append(_target((old.boxes * factor).tolist(), old.labels.tolist()))
    return _batch(images, targets, divisor=1)
