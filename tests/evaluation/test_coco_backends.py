"""Compare the fast backend with pycocotools, on random scenes and where programs differ."""

import math

import numpy as np
import pytest
import torch
from direct_coco import require_equal

from detkit.evaluation.coco_metric import CocoMetric
from detkit.structures import Detections, Target

KINDS = (
    *("plain", "whole_pixels", "equal_scores", "one_score", "crowds", "only_crowds"),
    *("no_detections", "no_objects", "nothing", "missing_class", "without_area", "inverted"),
    *("border_areas", "border_boxes", "more_than_100", "not_finite", "large_ids", "same_boxes"),
    *("huge_areas", "images_without_either", "ious_at_the_thresholds"),
)
BORDERS = [1024, 9216, 1023.9999, 1024.0001, 9215.999, 9216.001, 0, 1e10]


def boxes_of(random, count, kind):
    corner = random.uniform(0, 120, (count, 2))
    side = np.exp(random.uniform(np.log(4), np.log(200), (count, 2)))
    if kind == "border_boxes":
        side = random.choice([16.0, 31, 32, 33, 64, 95, 96, 97], (count, 2))
    if kind == "without_area":
        side[random.random((count, 2)) < 0.2] = 0
    boxes = np.concatenate([corner, corner + side], axis=1)
    if kind == "inverted":
        boxes[::4] = boxes[::4][:, [2, 3, 0, 1]]
    if kind == "ious_at_the_thresholds":  # 0.50, 0.55 ... of one another, as far as floats can say
        boxes = np.tile([0.0, 0, 100, 100], (count, 1))
        boxes[:, 2] = random.choice(np.arange(50, 101, 5), count)
    return boxes.round() if kind in ("whole_pixels", "border_boxes") else boxes


def target_of(random, kind):
    count = 0 if kind in ("no_objects", "nothing") else int(random.integers(0, 9))
    count = 0 if kind == "images_without_either" and random.random() < 0.5 else count
    boxes = boxes_of(random, count, kind)
    labels = random.integers(0, 2 if kind == "missing_class" else 3, count)
    share = {"crowds": 0.5, "only_crowds": 1}.get(kind, 0.15)
    areas = boxes[:, 2:].prod(axis=1) * random.uniform(0.3, 1, count)
    if kind == "border_areas":
        areas = random.choice(BORDERS, count)
    if kind == "huge_areas":
        areas = random.choice([1e10, 1.1e10, math.inf, 5000], count)
    return Target(
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor(labels),
        torch.tensor(random.random(count) < share),
        None if random.random() < 0.3 else torch.tensor(areas, dtype=torch.float32),
    )


def detections_of(random, target, kind):
    count = {"no_detections": 0, "nothing": 0, "more_than_100": 350}.get(kind, 25)
    count = 0 if kind == "images_without_either" and random.random() < 0.5 else count
    boxes, labels = boxes_of(random, count, kind), random.integers(0, 3, count)
    if len(target):
        near = random.random(count) < 0.7
        objects = random.integers(0, len(target), count)
        moved = random.normal(size=(count, 4)) * random.choice([0, 0, 1, 4], (count, 1))
        moved *= kind not in ("same_boxes", "ious_at_the_thresholds")
        boxes[near] = (target.boxes.double().numpy()[objects] + moved)[near]
        labels[near] = target.labels.numpy()[objects][near]
    if kind == "whole_pixels":
        boxes = boxes.round()
    scores = random.random(count)
    if kind in ("equal_scores", "same_boxes"):
        scores = random.integers(0, 4, count) / 4
    if kind == "one_score":
        scores[:] = 0.5
    if kind == "not_finite":
        boxes[::5, 2], scores[::7] = np.inf, np.nan
    return Detections(
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels),
    )


def numbers_of_both(kind, seed, **arguments):
    random = np.random.default_rng([seed, KINDS.index(kind)])
    ids = [2**40 + 7, 3, 2**33] if kind == "large_ids" else [7, 3, 90]
    first = -(2**50) if kind == "large_ids" else 1
    rows = [(first + 3 * i, target_of(random, kind)) for i in range(random.integers(1, 6))]
    found = [(i, detections_of(random, target, kind), target) for i, target in rows]
    numbers = []
    for backend in ("faster", "pycocotools"):
        metric = CocoMetric(
            class_names=["a", "b", "c"], category_ids=ids, backend=backend, **arguments
        )
        for image_id, detections, target in found:
            metric.update([image_id], [detections], [target])
        numbers.append(metric.compute())
    return numbers


# pain 22
@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_backend_equals_pycocotools(kind):
    for seed, limit in ((0, 100), (1, 3), (2, 300)):
        require_equal(*numbers_of_both(kind, seed, max_detections=limit), tolerance=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_backend_equals_pycocotools_on_many_scenes(kind):
    for seed in range(100):
        for limit in (100, 3, 300) if seed < 8 else (100,):
            require_equal(*numbers_of_both(kind, seed, max_detections=limit), tolerance=1e-12)


def test_the_scenes_measure_something():
    numbers = numbers_of_both("plain", 0)[0]
    assert 0 < numbers["AP"] < 1
    assert all(map(math.isnan, numbers_of_both("nothing", 0)[0].values()))
    assert math.isnan(numbers_of_both("missing_class", 1)[0]["AP/c"])


def test_the_fast_backend_is_the_default():
    metric = CocoMetric(class_names=["a"], category_ids=[1])
    assert metric.backend == "faster"
