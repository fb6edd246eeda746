"""How often the intervals of `detkit evaluate intervals=true` cover the truth, by simulation.

A population of many images has objects and detections of known quality, so its AP is known. Small
data sets are drawn from it; 95 % of their intervals should contain the AP of the population. For
`detkit compare`, two detectors have the same AP in the population, and one of them should seem
better in 5 % of the data sets only.

Options: `population`, `samples`, `sets` (a factor for the number of data sets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.bootstrap import BootstrapSettings, resampled_numbers
from detkit.evaluation.coco_matches import CocoMatches, match_coco
from detkit.evaluation.image_results import ImageArrays
from detkit.evaluation.paired_comparison import paired_numbers

CLASSES = ("frequent", "common", "rare")
OBJECTS = (2.5, 1.0, 0.2)  # mean number in an image
NUMBERS = ("AP", "AP50", "AP_small", "AP/frequent", "AP/rare")
# Number of data sets for intervals and for comparisons, by the images of each.
DATA_SETS = {50: (400, 800), 200: (200, 300), 1000: (100, 100)}
DOUBLES, ALARM_CLASSES = 0.15, (0.5, 0.3, 0.2)
Images = dict[int, ImageArrays]


def measure(options: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each size of data sets: coverage, mean widths, and false differences."""
    size, samples = int(options.get("population", 20_000)), int(options.get("samples", 500))
    factor = float(options.get("sets", 1))
    first, second = (match_coco(images, CLASSES, 100) for images in equal_detectors(size, seed=1))
    rows = []
    for images, counts in DATA_SETS.items():
        sets, pairs = (max(1, round(factor * count)) for count in counts)
        row = coverage(first, images, sets, samples)
        row |= false_differences(first, second, images, pairs, samples)
        rows.append({"images": images, "samples": samples, "population": size, **row})
    return rows


def coverage(matches: CocoMatches, images: int, sets: int, samples: int) -> dict[str, Any]:
    """The share of intervals that contain the population's number, and their mean width."""
    truth = resampled_numbers(matches, BootstrapSettings(0))
    covered: dict[str, list[bool]] = {name: [] for name in NUMBERS}
    widths: dict[str, list[float]] = {name: [] for name in NUMBERS}
    errors: dict[str, list[float]] = {name: [] for name in NUMBERS}
    for seed, drawn in enumerate(data_sets(len(matches.image_ids), images, sets)):
        numbers = resampled_numbers(subset(matches, drawn), BootstrapSettings(samples, seed))
        for name in NUMBERS:
            low, high = numbers[name].interval()
            if np.isfinite(low):
                covered[name].append(bool(low <= truth[name].estimate <= high))
                widths[name].append(high - low)
                errors[name].append(numbers[name].estimate - truth[name].estimate)
    return {
        "sets": sets,
        "truth": {name: truth[name].estimate for name in NUMBERS},
        "coverage": {name: float(np.mean(covered[name])) for name in NUMBERS},
        "width": {name: float(np.mean(widths[name])) for name in NUMBERS},
        "excess": {name: float(np.mean(errors[name])) for name in NUMBERS},
    }


def false_differences(
    first: CocoMatches, second: CocoMatches, images: int, sets: int, samples: int
) -> dict[str, Any]:
    """The share of data sets in which one of two equally good detectors seems better."""
    seems_better = []
    for seed, drawn in enumerate(data_sets(len(first.image_ids), images, sets)):
        pair = (subset(first, drawn), subset(second, drawn))
        numbers = paired_numbers(*pair, BootstrapSettings(samples, seed), sizes=False)
        seems_better.append(numbers["AP"].exceeds_chance)
    return {"comparisons": sets, "false_differences": float(np.mean(seems_better))}


def data_sets(population: int, images: int, sets: int) -> list[NDArray[np.int64]]:
    """Positions of images, in ascending order, of each data set."""
    random = np.random.default_rng(images)
    return [np.sort(random.choice(population, images, replace=False)) for _ in range(sets)]


def equal_detectors(images: int, seed: int) -> tuple[Images, Images]:
    """Two detectors with the same AP: each result of one is the other's in another image."""
    random = np.random.default_rng(seed)
    first: Images = {}
    second: Images = {}
    for image_id in range(images // 2):
        objects = _objects(random)
        results = [_detected(random, *objects) for _ in range(2)]
        first[image_id], second[image_id] = results
        first[image_id + images], second[image_id + images] = results[::-1]
    return dict(sorted(first.items())), dict(sorted(second.items()))


def _objects(random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Boxes and labels of the objects of an image, and how hard the image is for a detector."""
    counts = [random.poisson(mean) for mean in OBJECTS]
    labels = np.repeat(np.arange(len(CLASSES)), counts)
    sides = np.exp(random.uniform(np.log(12), np.log(200), (len(labels), 2)))
    corners = random.uniform(0, 400, (len(labels), 2))
    return np.concatenate([corners, corners + sides], axis=1), labels, random.gamma(4, 0.03)


def _detected(
    random: np.random.Generator, boxes: NDArray[Any], labels: NDArray[Any], hardness: float
) -> ImageArrays:
    """Moved boxes of most objects, some doubles, and false alarms; scores tell them apart."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    is_detected = random.random(len(labels)) > 2 * hardness
    is_doubled = is_detected & (random.random(len(labels)) < DOUBLES)
    moved = boxes + random.normal(0, hardness / 2, boxes.shape) * sides
    doubles = boxes + random.normal(0, 1.5 * hardness, boxes.shape) * sides
    alarms = random.poisson(1 + 6 * hardness)
    corners = random.uniform(0, 400, (alarms, 2))
    alarm_boxes = np.concatenate([corners, corners + random.uniform(12, 150, (alarms, 2))], axis=1)
    scores = [
        random.beta(5, 2, is_detected.sum()),
        random.beta(3, 3, is_doubled.sum()),
        random.beta(2, 5, alarms),
    ]
    alarm_labels = random.choice(len(CLASSES), alarms, p=ALARM_CLASSES)
    return ImageArrays(
        boxes=np.concatenate([moved[is_detected], doubles[is_doubled], alarm_boxes]).astype("f4"),
        scores=np.concatenate(scores).astype("f4"),
        labels=np.concatenate([labels[is_detected], labels[is_doubled], alarm_labels]),
        object_boxes=boxes.astype("f4"),
        object_labels=labels,
        ignored=np.zeros(len(labels), bool),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
    )


def subset(matches: CocoMatches, images: NDArray[np.int64]) -> CocoMatches:
    """The matches of some images."""
    position = np.full(len(matches.image_ids), -1)
    position[images] = np.arange(len(images))
    rows = position[matches.images] >= 0
    objects = position[matches.object_images] >= 0
    return replace(
        matches,
        image_ids=matches.image_ids[images],
        ends=np.append(0, rows.cumsum())[matches.ends],
        images=position[matches.images[rows]],
        correct=matches.correct[rows],
        counted=matches.counted[rows],
        object_images=position[matches.object_images[objects]],
        object_labels=matches.object_labels[objects],
        object_sizes=matches.object_sizes[objects],
    )


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    first = rows[0]
    heads = ["images", "data sets", *NUMBERS, "comparisons", "false differences"]
    lines = [
        f"Simulated data sets, drawn from a population of {first['population']:,} images with "
        f"{len(CLASSES)} classes ({', '.join(map(str, OBJECTS))} objects per image) and an AP of "
        f"{first['truth']['AP']:.3f}. Share of 95 % intervals ({first['samples']} samples) that "
        "contain the population's number, which should be 95 %; in brackets the mean width of the "
        "intervals. Last column: share of data sets in which `detkit compare` takes one of two "
        "equally good detectors for better, which should be 5 %.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    for row in rows:
        cells = [
            f"{100 * row['coverage'][name]:.0f} % ({row['width'][name]:.3f})" for name in NUMBERS
        ]
        start = [f"{row['images']:,}", str(row["sets"])]
        end = [str(row["comparisons"]), f"{100 * row['false_differences']:.1f} %"]
        lines.append(f"| {' | '.join([*start, *cells, *end])} |")
    excess = ", ".join(f"{row['excess']['AP']:+.3f} at {row['images']:,}" for row in rows)
    lines += [
        "",
        f"On average, AP of a small data set is too high ({excess} images), since COCO's curve "
        "takes the best precision at each recall or above. The intervals correct part of it; "
        "AP_small, which has few objects in each class, is less certain than its intervals say. "
        "The shares in the table have standard errors of 1 to 2 points themselves.",
    ]
    return "\n".join(lines)
