"""Post-processors on one image, the network left out.

Soft-NMS of 1,000 boxes of 80 classes beside its recurrence in NumPy, both with the same 100
detections (the recurrence has to stop there too, to be compared) and with all of them. Then every
post-processor, with its own defaults, on 8,000 candidates, which `select_candidates` takes from the
scores of 8,400 places and 80 classes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from detkit import registry
from detkit.ops import select_candidates
from detkit.postprocess import SoftNMS

PLACES, CLASSES, CANDIDATES, BOXES, ROUNDS = 8400, 80, 8000, 1000, 7
OVERLAP, MINIMUM = 0.3, 0.001  # the defaults of detkit's
Floats = NDArray[np.float32]
Kept = tuple[list[int], list[float]]


def random_boxes(count: int) -> torch.Tensor:
    """Boxes of 20 to 120 pixels in an image of 640."""
    corner = torch.rand(count, 2) * 520
    return torch.cat([corner, corner + 20 + torch.rand(count, 2) * 100], dim=1)


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """IoU of one box with others."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = (high - low).clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    found: Floats = common / (areas + (box[2:] - box[:2]).prod() - common)
    return found


def recurrence_of_arrays(boxes: Floats, scores: Floats, labels: Floats, limit: int) -> Kept:
    """Linear soft-NMS in NumPy: a round for each kept box, the others all at once."""
    left, values = np.arange(len(boxes)), scores.copy()
    kept: list[int] = []
    while len(left) and len(kept) < limit:
        best = left[values[left].argmax()]
        kept.append(int(best))
        left = left[left != best]
        overlap = overlaps(boxes[best], boxes[left]) * (labels[left] == labels[best])
        values[left] *= np.where(overlap >= OVERLAP, 1 - overlap, 1)
        left = left[values[left] > MINIMUM]
    return kept, values[kept].tolist()


def recurrence_of_pairs(boxes: Floats, scores: Floats, labels: Floats, limit: int) -> Kept:
    """Linear soft-NMS in NumPy as the paper's listing has it: pair by pair."""
    left, values = list(range(len(boxes))), scores.copy()
    kept: list[int] = []
    while left and len(kept) < limit:
        best = max(left, key=lambda place: values[place])
        kept.append(best)
        left.remove(best)
        for place in left:
            if labels[place] != labels[best]:
                continue
            overlap = overlaps(boxes[best], boxes[place : place + 1])[0]
            if overlap >= OVERLAP:
                values[place] *= 1 - overlap
        left = [place for place in left if values[place] > MINIMUM]
    return kept, values[kept].tolist()


def median_time(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds of the middle one of some runs, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) * 1000


def soft_nms_beside_numpy(classes: int, limit: int) -> None:
    """Print the times of both sides, and that they find the same."""
    boxes, scores = random_boxes(BOXES), torch.rand(BOXES) * 0.9 + 0.06
    labels = torch.randint(classes, (BOXES,))
    ours = SoftNMS(max_detections=limit)
    arrays = boxes.numpy(), scores.numpy(), labels.numpy()
    sides = {
        "detkit": lambda: ours(boxes, scores, labels),
        "NumPy, array by array": lambda: recurrence_of_arrays(*arrays, limit),
        "NumPy, pair by pair": lambda: recurrence_of_pairs(*arrays, limit),
    }
    found = ours(boxes, scores, labels).scores.numpy()
    for other in (recurrence_of_arrays, recurrence_of_pairs):
        np.testing.assert_allclose(found, other(*arrays, limit)[1], rtol=1e-4)
    times = {side: median_time(run, 3) for side, run in sides.items()}
    print(f"soft-NMS, {BOXES} boxes, {classes} classes, {limit} detections at most")
    for side, value in times.items():
        print(f"  {side:24}{value:9.1f} ms{value / times['detkit']:8.1f} x")


def every_postprocess() -> None:
    """Print the time of each post-processor on the same candidates."""
    scores = torch.rand(PLACES, CLASSES)
    boxes = random_boxes(PLACES)
    level = torch.zeros(PLACES, dtype=torch.int64)
    chosen = select_candidates(scores, level, 0.05, CANDIDATES)
    inputs = boxes[chosen.prior], chosen.score, chosen.label
    selecting = median_time(lambda: select_candidates(scores, level, 0.05, CANDIDATES))
    print(f"{CANDIDATES} candidates of {PLACES} places and {CLASSES} classes")
    print(f"  {'(finding them)':24}{selecting:9.1f} ms")
    for name in registry.names("postprocess"):
        part = registry.get("postprocess", name)()
        value = median_time(lambda part=part: part(*inputs), 3)  # type: ignore[misc]
        print(f"  {name:24}{value:9.1f} ms")


def main() -> None:
    """Print both comparisons."""
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {torch.get_num_threads()} threads")
    for classes in (1, 80):
        for limit in (100, BOXES):
            soft_nms_beside_numpy(classes, limit)
    every_postprocess()


if __name__ == "__main__":
    main()
