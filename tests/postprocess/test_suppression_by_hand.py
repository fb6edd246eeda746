"""Two boxes of IoU 0.5, and what each way of suppression makes of them."""

import math

import pytest
import torch
from detecting import detect
from torch.testing import assert_close

from detkit.postprocess import NMS, DIoUNMS, KeepBest, MatrixNMS, SoftNMS, WeightedBoxesFusion

BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])
SCORES = torch.tensor([0.8, 0.6])
SAME, DIFFERENT = torch.tensor([2, 2]), torch.tensor([2, 1])


@pytest.mark.parametrize(
    ("part", "second"),
    [
        (SoftNMS(), 0.6 * 0.5),
        (SoftNMS(iou_threshold=0.6), 0.6),
        (SoftNMS(method="gaussian"), 0.6 * math.exp(-0.5)),
        (MatrixNMS(method="linear"), 0.6 * 0.5),
        (MatrixNMS(sigma=0.25), 0.6 * math.exp(-1)),
    ],
)
def test_scores_are_lowered(part, second):
    found = detect(part, BOXES, SCORES, SAME)
    assert found.scores.tolist() == pytest.approx([0.8, second], rel=1e-6)
    assert torch.equal(found.boxes, BOXES)


# The centres are 2.5 apart and the diagonal is the root of 200: 0.5 - 6.25 / 200.
@pytest.mark.parametrize(("threshold", "kept"), [(0.46, 1), (0.47, 2)])
def test_diou_nms_takes_the_distance_from_the_overlap(threshold, kept):
    assert len(detect(DIoUNMS(threshold=threshold), BOXES, SCORES, SAME).scores) == kept
    assert len(detect(DIoUNMS(threshold=threshold, beta=0.5), BOXES, SCORES, SAME).scores) == 2


@pytest.mark.parametrize(("score", "expected"), [("highest", 0.8), ("mean", 0.7)])
def test_fusion_is_a_mean_weighted_by_scores(score, expected):
    found = detect(WeightedBoxesFusion(iou_threshold=0.4, score=score), BOXES, SCORES, SAME)
    height = (0.8 * 10 + 0.6 * 5) / 1.4
    assert_close(found.boxes, torch.tensor([[0.0, 0.0, 10.0, height]]))
    assert found.scores.tolist() == pytest.approx([expected])
    assert found.labels.tolist() == [2]


def test_without_suppression_the_best_are_kept_as_they_are():
    found = detect(KeepBest(max_detections=1), BOXES.flip(0), SCORES.flip(0), DIFFERENT)
    assert torch.equal(found.boxes, BOXES[:1])
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("part", "alone", "together"),
    [
        (NMS, 2, 1),
        (DIoUNMS, 2, 1),
        (WeightedBoxesFusion, 2, 1),
    ],
)
def test_classes_are_apart_unless_told_otherwise(part, alone, together):
    boxes = BOXES[:1].repeat(2, 1)
    assert len(detect(part(), boxes, SCORES, DIFFERENT).scores) == alone
    assert len(detect(part(), boxes, SCORES, SAME).scores) == together
    found = detect(part(class_agnostic=True), boxes, SCORES, DIFFERENT)
    assert found.labels.tolist() == [2]


@pytest.mark.parametrize("part", [SoftNMS, MatrixNMS])
def test_scores_of_other_classes_are_lowered_only_when_told(part):
    apart = detect(part(), BOXES, SCORES, DIFFERENT)
    assert torch.equal(apart.scores, SCORES)
    assert detect(part(class_agnostic=True), BOXES, SCORES, DIFFERENT).scores[1] < 0.6


@pytest.mark.parametrize("part", [SoftNMS, MatrixNMS])
def test_detections_need_the_minimum_score(part):
    found = detect(part(method="linear", minimum_score=0.31), BOXES, SCORES, SAME)
    assert found.scores.tolist() == pytest.approx([0.8])
