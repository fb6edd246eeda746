"""COCO's numbers from the two backends: 5,000 images, 100 detections each, 80 classes.

Each measurement is a process of its own that makes the same images and computes once: its time, and
by how much its memory rose above what it held before. The backends take turns.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from detkit.evaluation.coco import CocoMetric
from detkit.structures import Detections, Target

IMAGES, OBJECTS, DETECTIONS, CLASSES, ROUNDS = 5000, 7, 100, 80, 3
CROWDS, RIGHT_CLASS = 0.02, 0.8  # shares of the objects, and of the detections near one
BACKENDS = ("faster", "pycocotools")


def random_image(generator: torch.Generator) -> tuple[Detections, Target]:
    """Seven objects; of the detections a third lie near one of them, mostly with its class."""
    corner = torch.rand((OBJECTS, 2), generator=generator) * 400
    side = torch.exp(torch.rand((OBJECTS, 2), generator=generator) * 3.2 + 2.3)  # 10 to 245 pixels
    boxes = torch.cat([corner, corner + side], dim=1)
    labels = torch.randint(CLASSES, (OBJECTS,), generator=generator)
    target = Target(boxes, labels, torch.rand(OBJECTS, generator=generator) < CROWDS)
    start = torch.rand((DETECTIONS, 2), generator=generator) * 400
    size = torch.exp(torch.rand((DETECTIONS, 2), generator=generator) * 3.2 + 2.3)
    found = torch.cat([start, start + size], dim=1)
    found_labels = torch.randint(CLASSES, (DETECTIONS,), generator=generator)
    near = torch.randint(OBJECTS, (DETECTIONS // 3,), generator=generator)
    moved = torch.randn((len(near), 4), generator=generator) * side[near].repeat(1, 2) * 0.08
    found[: len(near)] = boxes[near] + moved
    right = torch.rand(len(near), generator=generator) < RIGHT_CLASS
    found_labels[: len(near)] = torch.where(right, labels[near], found_labels[: len(near)])
    scores = torch.rand(DETECTIONS, generator=generator).sort(descending=True).values
    return Detections(found, scores, found_labels), target


def peak() -> float:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(backend: str) -> None:
    """Compute once and print time, memory and AP as JSON."""
    metric = CocoMetric(
        class_names=[str(i) for i in range(CLASSES)],
        category_ids=list(range(1, CLASSES + 1)),
        backend=backend,
    )
    generator = torch.Generator().manual_seed(0)
    for image_id in range(IMAGES):
        detections, target = random_image(generator)
        metric.update([image_id], [detections], [target])
    before, start = peak(), time.perf_counter()
    numbers = metric.compute()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "mib": peak() - before, "AP": numbers["AP"]}))


def main() -> None:
    """Print the median of each backend and their ratios."""
    runs: dict[str, list[dict[str, float]]] = {backend: [] for backend in BACKENDS}
    for _ in range(ROUNDS):
        for backend in BACKENDS:
            command = [sys.executable, __file__, backend]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs[backend].append(json.loads(done.stdout))
    faster, reference = (runs[backend] for backend in BACKENDS)
    print(f"{IMAGES} images, {DETECTIONS} detections each, {CLASSES} classes, median of {ROUNDS}")
    for backend in BACKENDS:
        seconds, memory = (
            statistics.median(r[n] for r in runs[backend]) for n in ("seconds", "mib")
        )
        print(f"{backend:12} {seconds:6.1f} s  {memory:6.0f} MiB  AP {runs[backend][0]['AP']:.12f}")
    for name in ("seconds", "mib"):
        ratios = sorted(a[name] / b[name] for a, b in zip(faster, reference, strict=True))
        middle = statistics.median(ratios)
        print(f"{name}: ratio {middle:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
