"""Merging in NumPy equals the registered post-processors, and fuses views as its docstring says."""

import numpy as np
import pytest
import torch

from detkit import registry
from detkit.errors import UserError
from detkit.inference.merging import Merging, merging_of
from detkit.structures.arrays import DetectionArrays

SETTINGS = {
    "nms": [{}, {"iou_threshold": 0.3, "class_agnostic": True}, {"max_detections": 7}],
    "soft_nms": [{}, {"method": "gaussian", "sigma": 0.3}, {"class_agnostic": True}],
    "diou_nms": [{}, {"beta": 0.6, "threshold": 0.4}],
    "matrix_nms": [{}, {"method": "linear", "minimum_score": 0.2}],
    "weighted_boxes_fusion": [{"score": "highest"}, {"score": "mean", "iou_threshold": 0.4}],
    "none": [{"max_detections": 30}],
}
CASES = [(name, settings) for name, choices in SETTINGS.items() for settings in choices]
EQUAL = {"rtol": 0, "atol": 1e-4}


def view(seed, count=60):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 60, (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(5, 40, (count, 2))]).astype(np.float32)
    scores = random.uniform(0.01, 1, count).astype(np.float32)
    return DetectionArrays(boxes, scores, random.integers(0, 3, count))


def single(box, score, label=0):
    return DetectionArrays(
        np.array([box], np.float32), np.array([score], np.float32), np.array([label])
    )


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_methods_equal_the_registered_post_processor(name, settings):
    views = [view(1), view(2)]
    part = registry.get("postprocess", name)(
        score_threshold=0.0, max_candidates=1000, **{"max_detections": 100, **settings}
    )
    columns = [np.concatenate(column) for column in zip(*views, strict=True)]
    (expected,) = part(*(torch.from_numpy(column)[None] for column in columns)).split()
    merged = Merging(name, settings)(views)
    assert merged.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(merged.boxes, expected.boxes.numpy(), **EQUAL)
    np.testing.assert_allclose(merged.scores, expected.scores.numpy(), **EQUAL)


def test_a_method_without_numpy_form_runs_in_torch():
    merged = Merging("variance_voting", {"max_detections": 5})([view(1), view(2)])
    assert len(merged.scores) == 5
    assert merged.boxes.dtype == merged.scores.dtype == np.float32


def test_agreement_counts_the_views_that_see_an_object():
    views = [single([0, 0, 10, 10], 0.9), single([0, 0, 10, 12], 0.6), DetectionArrays(*view(1, 0))]
    merged = Merging()(views)
    np.testing.assert_allclose(merged.scores, [(0.9 + 0.6) / 3], rtol=1e-6)
    np.testing.assert_allclose(merged.boxes, [[0, 0, 10, (9 + 7.2) / 1.5]], rtol=1e-6)


def test_weights_shift_boxes_and_scores_of_a_fusion():
    views = [single([0, 0, 10, 10], 0.5), single([0, 0, 10, 12], 0.5)]
    merged = Merging()(views, weights=[3, 1])
    np.testing.assert_allclose(merged.boxes[0, 3], 10.5)
    np.testing.assert_allclose(merged.scores, [0.5])


def test_weights_are_shares_of_the_scores_for_other_methods():
    views = [single([0, 0, 10, 10], 0.8), single([20, 20, 30, 30], 0.8, label=1)]
    merged = Merging("nms")(views, weights=[3, 1])
    np.testing.assert_allclose(merged.scores, [0.6, 0.2])
    np.testing.assert_allclose(Merging("nms")(views).scores, [0.8, 0.8])


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_merges_to_nothing(name):
    empty = view(1, 0)
    for views in ([], [empty], [empty, empty]):
        merged = Merging(name)(views)
        assert [array.shape for array in merged] == [(0, 4), (0,), (0,)]


@pytest.mark.parametrize("name", SETTINGS)
def test_boxes_without_area_are_dropped(name):
    flat = single([5, 5, 5, 9], 0.9)
    assert Merging(name)([flat, single([0, 0, 10, 10], 0.5)]).boxes.tolist() == [[0, 0, 10, 10]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("softnms", r"merge=softnms: there is no such post-processor. Did you mean 'soft_nms'"),
        ({"name": "nms", "sigma": 1}, r"merge: 'nms' has no setting 'sigma'.* It has iou_thr"),
        ({"iou_threshold": 0.3}, r"names no post-processor; write merge={name: nms, iou_threshold"),
        (
            {"name": "nms", "iou_threshold": 2},
            r"merge.iou_threshold=2: expected a number from 0 to 1",
        ),
        (
            {"name": "weighted_boxes_fusion", "score": "avg"},
            r"merge.score=avg: expected agreement or highest or mean",
        ),
        (
            {"name": "weighted_boxes_fusion", "max_detections": 0},
            r"expected a whole number above 0",
        ),
        ({"name": "weighted_boxes_fusion", "class_agnostic": 1}, r"expected true or false"),
        ({"name": "soft_nms", "sigma": 0}, r"merge.sigma=0: expected a number above 0"),
    ],
)
def test_wrong_settings_are_explained(value, message):
    with pytest.raises(UserError, match=message):
        merging_of(value)
