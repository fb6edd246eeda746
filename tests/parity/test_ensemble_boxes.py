"""Merging equals the package ensemble-boxes (MIT) to 1e-6 of the image's sides.

The package imports numba only to compile its NMS; without numba, that runs as plain Python here.
"""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from detkit.inference.merging import Merging
from detkit.structures.arrays import DetectionArrays

SIDE = 640.0
EQUAL = {"rtol": 0, "atol": 1e-6}
WEIGHTS = [None, [2.0, 1.0, 0.5]]


@pytest.fixture(scope="module")
def peer():
    with pytest.MonkeyPatch.context() as patch:
        try:
            __import__("numba")
        except ImportError:
            uncompiled = SimpleNamespace(jit=lambda **_: lambda function: function)
            patch.setitem(sys.modules, "numba", uncompiled)
        return pytest.importorskip("ensemble_boxes", reason="needs the package ensemble-boxes")


def views():
    """Three views of the same objects with noise, and some boxes that only one view has."""
    random = np.random.default_rng(7)
    corners = random.uniform(0, 400, (40, 2))
    objects = np.hstack([corners, corners + random.uniform(20, 200, (40, 2))])
    labels = random.integers(0, 4, 40)
    detections = []
    for _ in range(3):
        seen = random.permutation(40)[:30]
        boxes = (objects[seen] + random.normal(0, 8, (30, 4))).clip(0, SIDE)
        scores = random.uniform(0.02, 1, 30)
        detections.append(
            DetectionArrays(boxes.astype(np.float32), scores.astype(np.float32), labels[seen])
        )
    return detections


def lists(detections):
    """The package's inputs: coordinates from 0 to 1."""
    boxes = [view.boxes.astype(np.float64) / SIDE for view in detections]
    scores = [view.scores.astype(np.float64) for view in detections]
    return boxes, scores, [view.labels for view in detections]


def require_equal(merged, boxes, scores, labels):
    order = np.argsort(-scores, kind="stable")
    assert merged.labels.tolist() == labels[order].astype(int).tolist()
    np.testing.assert_allclose(merged.scores, scores[order], **EQUAL)
    np.testing.assert_allclose(merged.boxes / SIDE, boxes[order], **EQUAL)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("score", "conf_type"), [("agreement", "avg"), ("highest", "max")])
# pain 136
def test_weighted_boxes_fusion(peer, weights, score, conf_type):
    expected = peer.weighted_boxes_fusion(
        *lists(views()), weights=weights, iou_thr=0.5, conf_type=conf_type
    )
    settings = {"iou_threshold": 0.5, "score": score, "max_detections": 1000}
    require_equal(Merging("weighted_boxes_fusion", settings)(views(), weights), *expected)


@pytest.mark.parametrize("weights", WEIGHTS)
# pain 136
def test_nms(peer, weights):
    expected = peer.nms(*lists(views()), iou_thr=0.5, weights=weights)
    require_equal(Merging("nms", {"max_detections": 1000})(views(), weights), *expected)


@pytest.mark.parametrize(("method", "number"), [("linear", 1), ("gaussian", 2)])
def test_soft_nms(peer, method, number):
    # soft_nms of the package returns the scores before they are lowered; its inner function lowers
    # them in place.
    merged = Merging(
        "soft_nms",
        {"method": method, "iou_threshold": 0.4, "minimum_score": 0.05, "max_detections": 1000},
    )(views())
    boxes, scores, labels = (np.concatenate(column) for column in lists(views()))
    parts = []
    for label in range(4):
        of_label = labels == label
        lowered = scores[of_label].copy()
        soft_nms = sys.modules["ensemble_boxes.ensemble_boxes_nms"].cpu_soft_nms_float
        positions = soft_nms(boxes[of_label].copy(), lowered, 0.4, 0.5, 0.05, number)
        lowered = lowered[lowered > 0.05]
        parts.append((boxes[of_label][positions], lowered, np.full(len(lowered), label)))
    require_equal(merged, *(np.concatenate(column) for column in zip(*parts, strict=True)))
