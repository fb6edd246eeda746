"""COCO's numbers from the two backends: 1,500 images, 100 detections each, 80 classes.

Each measurement is a process of its own that makes the same images and computes once, from what the
metric has kept of each image to the numbers: its time, and by how much its memory rose above what
it held before. The backends take turns; all their numbers have to be equal. No round warms up,
because each process is new.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time

import torch
from measure import Comparison, in_turns, own_process, peak_mib, report

from detkit.evaluation.coco_metric import CocoMetric
from detkit.structures import Detections, Target

IMAGES, OBJECTS, DETECTIONS, CLASSES, ROUNDS = 1500, 7, 100, 80, 5
CROWDS, RIGHT_CLASS = 0.02, 0.8  # shares of the objects, and of the detections near one
AT_MOST, SAME = 0.20, 1e-12


def random_image(generator: torch.Generator) -> tuple[Detections, Target]:
    """Seven objects; a third of the detections are near one of them, mostly with its class."""
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


def measure(backend: str) -> None:
    """Compute once and print the numbers, time and memory as JSON."""
    metric = CocoMetric(
        class_names=[str(i) for i in range(CLASSES)],
        category_ids=list(range(1, CLASSES + 1)),
        backend=backend,
    )
    generator = torch.Generator().manual_seed(0)
    for image_id in range(IMAGES):
        detections, target = random_image(generator)
        metric.update([image_id], [detections], [target])
    before, start = peak_mib(), time.perf_counter()
    numbers = metric.compute()
    seconds = time.perf_counter() - start
    print(json.dumps({**numbers, "seconds": seconds, "MiB": peak_mib() - before}))


def require_same(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Raise RuntimeError unless the backends agree on the 12 numbers and the numbers per class.

    A number is NaN where there was nothing to measure.
    """
    for name in theirs.keys() - {"seconds", "MiB"}:
        a, b = ours[name], theirs[name]
        if abs(a - b) > SAME or math.isnan(a) != math.isnan(b):
            raise RuntimeError(f"{name}: {a} beside {b} of pycocotools")


def main() -> None:
    """Report the time, with the memory beside it."""
    runs: dict[str, list[dict[str, float]]] = {"faster": [], "pycocotools": []}

    def seconds(backend: str) -> float:
        runs[backend].append(own_process(__file__, backend))
        return runs[backend][-1]["seconds"]

    times = in_turns(lambda: seconds("faster"), lambda: seconds("pycocotools"), ROUNDS, warm_up=0)
    for ours, theirs in zip(*runs.values(), strict=True):
        require_same(ours, theirs)
    mib = [statistics.median(run["MiB"] for run in side) for side in runs.values()]
    row = Comparison(
        f"COCO's numbers of {IMAGES:,} images with {DETECTIONS} detections each",
        "pycocotools",
        AT_MOST,
        "s",
        *times,
        f"{len(runs['faster'][0]) - 2} numbers equal to {SAME:g}; memory rose by {mib[0]:,.0f} MiB "
        f"beside {mib[1]:,.0f}; median of {ROUNDS} rounds",
    )
    report([row])


if __name__ == "__main__":
    if sys.argv[1:2] in (["faster"], ["pycocotools"]):
        measure(sys.argv[1])
    else:
        main()
