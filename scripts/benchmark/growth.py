"""Growth of a training step's time and memory with objects, classes, pixels and images.

A step is forward, losses and gradients of a light detector (ResNet-18 and 64 channels where the
page has a ResNet-50 and 256), so that matching and losses show. Each point runs in a process of
its own with one thread, two processes at a time: after a step on a tiny image, which loads what
torch loads late, one step gives the memory, the peak beyond what was held before it, and three more
the time, the median of processor seconds. `--plot FOLDER` writes growth.svg there.

"At most linear" is asked of the exponent between the last value of an axis and the last one that is
at most a quarter of it: closer ones would turn noise of 5 % into an exponent of 0.1. Pixels count,
not sides. Nothing may hold an element for each place, object and class at once, which the memory
with many objects and many classes shows.
"""

from __future__ import annotations

import ctypes
import math
import statistics
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
from growth_plot import plot_growth
from measure import forget_peak, peak_mib, report, resident_mib
from sides import batch_of, our_detector, random_targets

from detkit.structures import Batch

_LIGHT = ("model/backbone=resnet18", "model.neck.out_channels=64")
DETECTORS = {"fcos": _LIGHT, "retinanet": _LIGHT, "yolo_free_n": ()}
LINEAR, SPAN, REPEATS, AT_ONCE = 1.1, 4, 3, 2
AXES = {
    "objects": (0, 1, 10, 100, 1000),
    "classes": (1, 80, 1203),
    "side": (320, 448, 640, 896, 1280),
    "batch": (1, 2, 4, 8),
}
UNITS = {"objects": "object", "classes": "class", "side": "megapixel", "batch": "image"}


class Point(NamedTuple):
    """The size of one step; the defaults apply while another axis grows."""

    detector: str
    objects: int = 10
    classes: int = 80
    side: int = 320
    batch: int = 1


class Cost(NamedTuple):
    """Processor seconds of a step, and its peak memory above the start, in MiB."""

    seconds: float
    mib: float


class Check(NamedTuple):
    """The memory of many objects with many classes, which must not grow with their product."""

    detector: str
    places: int
    mib: float  # with many of both
    mib_of_parts: float  # of many objects with one class, and of one object with many classes
    mib_of_product: float  # a float for each place, object and class
    sentence: str


def growth_of(axis: str, detector: str, costs: Sequence[Cost]) -> dict[str, object]:
    """A row of the result: the costs along an axis, and how they grow."""
    values = AXES[axis]
    amounts = [value**2 / 1e6 if axis == "side" else float(value) for value in values]
    before = max(i for i, amount in enumerate(amounts) if amount * SPAN <= amounts[-1])
    spans = [costs[before], costs[-1]]
    factor = amounts[-1] / amounts[before]
    exponents = [
        math.log(last / first) / math.log(factor) for first, last in zip(*spans, strict=True)
    ]
    added = [
        (last - first) / (amounts[-1] - amounts[before]) for first, last in zip(*spans, strict=True)
    ]
    linear = max(exponents) <= LINEAR
    verdict = "at most linear" if linear else "MORE THAN LINEAR"
    unit = UNITS[axis]
    more = f"{added[0]:.3g} s" if added[0] >= 1 else f"{1000 * added[0]:.3g} ms"
    sentence = (
        f"{detector}, {axis} {values[before]:,} to {values[-1]:,}: {more} and "
        f"{added[1]:.3g} MiB for each added {unit}; exponents {exponents[0]:.2f} (time) and "
        f"{exponents[1]:.2f} (memory): {verdict}"
    )
    return {
        "axis": axis,
        "detector": detector,
        "values": list(values),
        "seconds": [cost.seconds for cost in costs],
        "mib": [cost.mib for cost in costs],
        "exponent_seconds": exponents[0],
        "exponent_mib": exponents[1],
        "seconds_per_added": added[0],
        "mib_per_added": added[1],
        "added": unit,
        "at_most_linear": linear,
        "sentence": sentence,
    }


def check_points(detector: str) -> list[Point]:
    """Many objects and classes, then many of either."""
    objects, classes = AXES["objects"][-1], AXES["classes"][-1]
    of_both = Point(detector, objects, classes)
    return [of_both, of_both._replace(classes=1), of_both._replace(objects=1)]


def memory_check(detector: str, costs: Sequence[Cost], places: int) -> Check:
    """Compare the memory of many objects and classes with that of either, and of all triples."""
    most = check_points(detector)[0]
    both, *parts = (cost.mib for cost in costs)
    product = places * most.objects * most.classes * 4 / 2**20
    held = both < sum(parts) + product / 100
    sentence = (
        f"{detector}, {most.objects:,} objects and {most.classes:,} classes at {places:,} places: "
        f"{both:,.0f} MiB; {sum(parts):,.0f} MiB for the objects with one class and the classes "
        f"with one object together; a float for each triple would take {product:,.0f} MiB: "
        f"{'nothing of that order is held' if held else 'MORE IS HELD THAN THE PARTS NEED'}"
    )
    return Check(detector, places, both, sum(parts), product, sentence)


def measure(point: Point) -> dict[str, float]:
    """The cost of a step in this process, and the number of priors of an image."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = our_detector(point.detector, point.classes, *DETECTORS[point.detector]).train()

    def step(batch: Batch) -> float:
        model.zero_grad(set_to_none=True)
        start = time.process_time()
        sum(model.loss(batch).values()).backward()
        return time.process_time() - start

    step(batch_at(point._replace(side=64, batch=2)))
    model.zero_grad(set_to_none=True)
    batch = batch_at(point)
    ctypes.CDLL(None).malloc_trim(0)  # what is free and held would hide as much of the step
    before = resident_mib()
    forget_peak()
    step(batch)
    mib = peak_mib() - before
    seconds = statistics.median(step(batch) for _ in range(REPEATS))
    with torch.no_grad():
        places = model.head(model.features_of(batch)).class_logits.shape[1]
    return {"seconds": seconds, "mib": mib, "places": places}


def batch_at(point: Point) -> Batch:
    """Random images and objects."""
    pixels = torch.randint(0, 256, (point.batch, 3, point.side, point.side), dtype=torch.uint8)
    objects = random_targets(point.batch, point.objects, point.classes, point.side)
    return batch_of(pixels, objects)


def measure_all(points: Sequence[Point]) -> dict[Point, dict[str, float]]:
    """Measure each point once in a forked process, because starting one takes longer than a step.

    Nothing may run on tensors before, for threads do not survive a fork.
    """
    each = list(dict.fromkeys(points))
    with get_context("fork").Pool(AT_ONCE, maxtasksperchild=1) as pool:
        return dict(zip(each, pool.map(measure, each, chunksize=1), strict=True))


def main() -> None:
    """Measure, print a line for each axis and detector, and draw."""
    axes = {
        (axis, detector): [Point(detector)._replace(**{axis: value}) for value in values]
        for detector in DETECTORS
        for axis, values in AXES.items()
    }
    checks = {detector: check_points(detector) for detector in DETECTORS}
    measured = measure_all([p for points in [*axes.values(), *checks.values()] for p in points])
    costs = {point: Cost(found["seconds"], found["mib"]) for point, found in measured.items()}
    growth = [growth_of(*key, [costs[p] for p in points]) for key, points in axes.items()]
    held = [
        memory_check(name, [costs[p] for p in points], int(measured[points[0]]["places"]))
        for name, points in checks.items()
    ]
    print("\n".join(str(row["sentence"]) for row in growth))
    print("\n".join(check.sentence for check in held))
    report([], growth=growth, memory_check=[check._asdict() for check in held])
    if "--plot" in sys.argv:
        plot_growth(growth, Path(sys.argv[sys.argv.index("--plot") + 1]) / "growth.svg")


if __name__ == "__main__":
    main()
