"""A training step of RetinaNet and FCOS (ResNet-50, FPN, 320 px, batch 4) beside torchvision's.

Both sides see the same images and objects, take turns, and do the same work: normalise, forward,
losses, backward. Without an optimizer step, which is PyTorch's on both sides. Weights are random:
time does not depend on them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torchvision.models import detection

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.structures import Batch, Target

SIZE, BATCH, OBJECTS, CLASSES, ROUNDS = 320, 4, 10, 20, 7
PEERS = {"retinanet": detection.retinanet_resnet50_fpn, "fcos": detection.fcos_resnet50_fpn}


def targets() -> list[Target]:
    """Random objects of 20 to 200 pixels."""
    found = []
    for _ in range(BATCH):
        corner = torch.rand(OBJECTS, 2) * 120
        boxes = torch.cat([corner, corner + 20 + torch.rand(OBJECTS, 2) * 180], dim=1)
        labels = torch.randint(CLASSES, (OBJECTS,))
        found.append(Target(boxes, labels, torch.zeros(OBJECTS, dtype=torch.bool)))
    return found


def our_step(name: str, images: torch.Tensor, objects: list[Target]) -> Callable[[], None]:
    """A step of detkit's detector with the settings of its page."""
    model = compose("train", [f"model={name}"])["model"]
    classes = Classes([str(i) for i in range(CLASSES)], list(range(1, CLASSES + 1)))
    detector = assembly.build_detector(model, classes).train()
    sizes = [(SIZE, SIZE)] * BATCH
    to_image = torch.eye(3, dtype=torch.float64).repeat(BATCH, 1, 1)
    ids, paths = list(range(BATCH)), [""] * BATCH
    batch = Batch(images, sizes, objects, objects, ids, paths, sizes, to_image)
    return lambda: sum(detector.loss(batch).values()).backward()


def peer_step(name: str, images: torch.Tensor, objects: list[Target]) -> Callable[[], None]:
    """A step of torchvision's detector; its resizing has nothing to do."""
    model = PEERS[name](
        weights=None,
        weights_backbone=None,
        num_classes=CLASSES,
        min_size=SIZE,
        max_size=SIZE,
    ).train()
    pictures = [image.float() / 255 for image in images]
    truth = [{"boxes": target.boxes, "labels": target.labels} for target in objects]
    return lambda: sum(model(pictures, truth).values()).backward()


def main() -> None:
    """Print the median of each side and their ratio."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    objects = targets()
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(f"{versions}, {torch.get_num_threads()} threads, median of {ROUNDS}")
    for name in PEERS:
        steps = {
            "detkit": our_step(name, images, objects),
            "torchvision": peer_step(name, images, objects),
        }
        times: dict[str, list[float]] = {side: [] for side in steps}
        for round_number in range(ROUNDS + 1):
            for side, step in steps.items():
                start = time.perf_counter()
                step()
                if round_number > 0:  # the first round warms up
                    times[side].append(time.perf_counter() - start)
        ratios = sorted(a / b for a, b in zip(times["detkit"], times["torchvision"], strict=True))
        medians = ", ".join(f"{side} {statistics.median(t):.2f} s" for side, t in times.items())
        print(
            f"{name:10} {medians}, ratio {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
