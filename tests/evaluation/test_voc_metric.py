import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from direct_coco import random_annotations, scenes

from detkit.errors import DataError
from detkit.evaluation.voc_metric import VocMetric, average_precision
from detkit.structures import Detections, Target

NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
CLASSES = ["cat", "dog", "emu", "fox"]


def found(*rows):
    """Each row: label, score, box."""
    labels, scores, boxes = zip(*rows, strict=True)
    return Detections(torch.tensor(boxes).float(), torch.tensor(scores), torch.tensor(labels))


def target(*rows, difficult=()):
    """Each row: label, box."""
    labels, boxes = zip(*rows, strict=True)
    ignored = torch.tensor([i in difficult for i in range(len(rows))])
    return Target(torch.tensor(boxes).float(), torch.tensor(labels), ignored)


def measured(images, names=CLASSES, **arguments):
    metric = VocMetric(class_names=names, **arguments)
    for image_id, detections, objects in images:
        metric.update([image_id], [detections], [objects])
    return metric


# Four cats that count, A B C D, and a difficult one, X. By score, the detections of a cat are
#
#   score   what it is                             found  false   recall       precision
#   0.9     A, exactly                                 1      0   1/4 = 0.25   1/1
#   0.8     A again                                    1      1   1/4 = 0.25   1/2
#   0.7     X, difficult: counts neither way           -      -   -            -
#   0.6     B, exactly                                 2      1   2/4 = 0.50   2/3
#   0.5     C, IoU 30 * 40 / (40 * 40) = 0.75          3      1   3/4 = 0.75   3/4
#   0.4     nothing there                              3      2   3/4 = 0.75   3/5
#
# The best precision at a recall or above it: 1 up to 1/4, 3/4 up to 3/4, then 0.
#   11 points: at 0, 0.1, 0.2 it is 1; at 0.3 to 0.7 (five points) 3/4; at 0.8, 0.9, 1 it is 0:
#              (3 * 1 + 5 * 3/4) / 11 = 6.75 / 11
#   area:      1/4 * 1 + 2/4 * 3/4 = 0.625
# With an IoU threshold of 0.8, C is not found and 0.5 is false:
#   0.9 1/1, 0.8 1/2, 0.6 2/3, 0.5 2/4, 0.4 2/5; best 1 up to 1/4, 2/3 up to 2/4
#   area:      1/4 * 1 + 1/4 * 2/3 = 5/12
# There is one dog and it is found: AP 1. No emu, no fox: no AP, so the mean is of two classes.
A, B, C, D = [0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40], [300, 0, 340, 40]
X, NOWHERE = [0, 100, 40, 140], [300, 300, 340, 340]
EXAMPLE = [
    (
        1,
        found((0, 0.9, A), (0, 0.8, A), (0, 0.7, X), (0, 0.6, B), (1, 0.3, D)),
        target((0, A), (0, B), (1, D), (0, X), difficult=[3]),
    ),
    (2, found((0, 0.5, [200, 0, 230, 40]), (0, 0.4, NOWHERE)), target((0, C), (0, D))),
]


@pytest.mark.parametrize(
    ("arguments", "cat", "cat50"),
    [
        ({"average": "area"}, 0.625, 0.625),
        ({"average": "11_points"}, 6.75 / 11, 6.75 / 11),
        ({"average": "area", "iou_threshold": 0.8}, 5 / 12, 0.625),
    ],
)
def test_a_worked_example(arguments, cat, cat50):
    numbers = measured(EXAMPLE, **arguments).compute()
    assert list(numbers) == ["AP", "AP50", "AP/cat", "AP/dog", "AP/emu", "AP/fox"]
    assert numbers["AP/cat"] == pytest.approx(cat, abs=1e-12)
    assert numbers["AP/dog"] == 1
    assert math.isnan(numbers["AP/emu"])
    assert numbers["AP"] == pytest.approx((cat + 1) / 2, abs=1e-12)
    assert numbers["AP50"] == pytest.approx((cat50 + 1) / 2, abs=1e-12)


def pixels_iou(first, second):
    """The development kit's boxes: 1-based whole pixels, both ends inside, so widths add 1."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    area = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (first, second)]
    return width * height / (sum(area) - width * height)


def direct_average_precision(images, label, average, threshold=0.5):
    """Detection by detection over all images, on 1-based pixels."""
    rows, objects = [], {}
    for image_id, detections, annotated in images:
        rows += [
            (score, image_id, [box[0] + 1, box[1] + 1, box[2], box[3]])
            for box, score, its in zip(*(v.tolist() for v in detections), strict=True)
            if its == label
        ]
        objects[image_id] = [
            {"box": [box[0] + 1, box[1] + 1, box[2], box[3]], "difficult": bool(flag), "free": True}
            for box, its, flag in zip(
                annotated.boxes.tolist(),
                annotated.labels.tolist(),
                annotated.ignored.tolist(),
                strict=True,
            )
            if its == label
        ]
    right = []
    for _, image_id, box in sorted(rows, key=lambda row: -row[0]):
        best, best_overlap = None, 0.0
        for candidate in objects[image_id]:
            overlap = pixels_iou(box, candidate["box"])
            if overlap > best_overlap:
                best, best_overlap = candidate, overlap
        if best is not None and best_overlap >= threshold:
            if best["difficult"]:
                continue
            right.append(best["free"])
            best["free"] = False
        else:
            right.append(False)
    count = sum(not o["difficult"] for of_image in objects.values() for o in of_image)
    if count == 0:
        return math.nan
    points = [
        (sum(right[: i + 1]) / count, sum(right[: i + 1]) / (i + 1)) for i in range(len(right))
    ]
    if average == "11_points":
        steps = [max([0, *(p for r, p in points if r >= k / 10)]) for k in range(11)]
        return sum(steps) / 11
    recalls = sorted({0, *(r for r, _ in points)})
    widths = pairwise(recalls)
    return sum((b - a) * max(p for r, p in points if r >= b) for a, b in widths)


# pain 25
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("average", ["area", "11_points"])
def test_continuous_boxes_equal_the_pixels_of_the_development_kit(seed, average):
    images = whole_pixels(scenes(random_annotations(seed), seed))
    numbers = measured(images, average=average).compute()
    expected = [direct_average_precision(images, i, average) for i in range(len(CLASSES))]
    assert 0 < expected[0] < 1
    for name, value in zip(CLASSES, expected, strict=True):
        assert numbers[f"AP/{name}"] == pytest.approx(value, abs=1e-12, nan_ok=True)
    assert numbers["AP"] == pytest.approx(np.nanmean(expected), abs=1e-12)


def whole_pixels(images):
    return [(i, f._replace(boxes=f.boxes.round()), t) for i, f, t in images]


# pain 25
def test_unconverted_boxes_have_another_iou():
    """The kit's +1 makes boxes too similar if they are already continuous."""
    first, second = [0, 0, 10, 10], [0, 0, 10, 5]  # IoU 50 / 100
    assert pixels_iou([1, 1, 10, 10], [1, 1, 10, 5]) == 0.5
    assert pixels_iou(first, second) == 66 / 121  # 11 * 6 of 11 * 11: too much
    images = [(1, found((0, 0.9, second)), target((0, first)))]
    assert measured(images, iou_threshold=0.5).compute()["AP/cat"] == 1
    assert measured(images, iou_threshold=0.501).compute()["AP/cat"] == 0


def test_a_recall_of_three_tenths_reaches_the_point_0_3():
    right = np.array([True, True, True])
    assert average_precision(right, 10, "11_points") == pytest.approx(4 / 11)  # 0, .1, .2, .3


def test_a_detection_does_not_turn_to_its_second_best_object():
    near = [5, 0, 45, 40]  # IoU with A is 35 / 45, and another detection has A
    images = [(1, found((0, 0.9, A), (0, 0.8, [2, 0, 42, 40])), target((0, A), (0, near)))]
    assert measured(images).compute()["AP/cat"] == pytest.approx(0.5)


def test_ranks_together_equal_one_process():
    rows = scenes(random_annotations(7, images=7), 7)
    first, second = measured(rows[::2]), measured(rows[1::2])
    first.merge(pickle.loads(pickle.dumps([second.state()])))
    whole = measured(rows)
    assert first.compute() == pytest.approx(whole.compute(), abs=0, nan_ok=True)
    assert first.counts() == whole.counts()
    first.reset()
    assert first.counts().images == 0


@pytest.mark.parametrize(
    "images", [[], [(1, NOTHING, Target.empty())], [(1, found((0, 1.0, A)), Target.empty())]]
)
def test_without_objects_all_numbers_are_nan(images):
    assert all(map(math.isnan, measured(images).compute().values()))


def test_objects_without_detections_give_zero():
    assert measured([(1, NOTHING, target((0, A)))]).compute()["AP"] == 0


def test_a_label_of_no_class_is_refused():
    with pytest.raises(DataError, match="detection with label 4, but the metric knows 4 classes"):
        measured([(1, found((4, 0.5, A)), Target.empty())])
