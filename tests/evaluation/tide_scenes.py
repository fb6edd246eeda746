"""Random scenes with distinct scores, and the authors' program, tidecv 1.0.1, run on them."""

from typing import NamedTuple

import numpy as np
import torch

from detkit.structures import Detections, Target

CLASSES = 3


class Scene(NamedTuple):
    image_id: int
    detections: Detections
    target: Target


def random_scenes(seed, ignored_share, images=8):
    """Objects, each with some moved copies of the right class or another, and random boxes."""
    random = np.random.default_rng(seed)
    found = []
    for image_id in range(1, images + 1):
        boxes = random_boxes(random, int(random.integers(2, 14)))
        labels = random.integers(CLASSES, size=len(boxes))
        ignored = random.random(len(boxes)) < ignored_share
        copies = np.repeat(boxes, 3, axis=0) + random.normal(0, 10, (3 * len(boxes), 4))
        detected = np.concatenate([copies, random_boxes(random, 10)])
        detected[:, 2:] = np.maximum(detected[:, 2:], detected[:, :2] + 1)
        wrong = random.integers(CLASSES, size=len(detected))
        right = np.concatenate([np.repeat(labels, 3), wrong[-10:]])
        named = np.where(random.random(len(detected)) < 0.3, wrong, right)
        shown = random.random(len(detected)) < 0.6
        scores = random.random(len(detected))
        detections = Detections(
            torch.tensor(detected[shown]).float(),
            torch.tensor(scores[shown]).float(),
            torch.tensor(named[shown]),
        )
        target = Target(
            torch.tensor(boxes).float(), torch.tensor(labels), torch.tensor(ignored, dtype=bool)
        )
        found.append(Scene(image_id, detections, target))
    return found


def random_boxes(random, count):
    corners = random.uniform(0, 300, (count, 2))
    sides = np.exp(random.uniform(np.log(20), np.log(150), (count, 2)))
    return np.concatenate([corners, corners + sides], axis=1)


def gains_of_tidecv(scenes):
    """Gains in AP points: our six kinds in order, then no false positives, no false negatives."""
    from tidecv import Data
    from tidecv.errors import main_errors as kinds
    from tidecv.quantify import TIDERun

    truth, found = Data("truth"), Data("found")
    for image_id, detections, target in scenes:
        objects = (xywh(target.boxes), target.labels, target.ignored)
        for box, label, ignored in zip(*objects, strict=True):
            add = truth.add_ignore_region if ignored else truth.add_ground_truth
            add(image_id, int(label), box)
        rows = (xywh(detections.boxes), detections.scores, detections.labels)
        for box, score, label in zip(*rows, strict=True):
            found.add_detection(image_id, int(label), float(score), box)
    run = TIDERun(truth, found, 0.5, 0.1, "bbox", 100)
    names = ("ClassError", "BoxError", "OtherError", "DuplicateError", "BackgroundError")
    main, special = run.fix_main_errors(), run.fix_special_errors()
    gains = [main[getattr(kinds, name)] for name in (*names, "MissedError")]
    return [*gains, special[kinds.FalsePositiveError], special[kinds.FalseNegativeError]]


def xywh(boxes):
    exact = boxes.double().tolist()
    return [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in exact]
