"""Each way of suppression against a transcription of its paper, on random and awkward boxes."""

import math

import pytest
import suppression_references as reference
import torch
from detecting import detect
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from torchvision.ops import batched_nms

from detkit.postprocess import NMS, DIoUNMS, MatrixNMS, SoftNMS, WeightedBoxesFusion

# No ratio of areas on the grid below is equal to it.
THRESHOLD = 0.3371


@st.composite
def candidates(draw):
    """Up to 12 boxes on a small grid: equal ones, nested ones and ones without area; 2 classes."""
    side = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted)
    sides = draw(st.lists(st.tuples(side, side), max_size=12))
    boxes = torch.tensor([[x[0], y[0], x[1], y[1]] for x, y in sides], dtype=torch.float64)
    places = draw(st.permutations(range(len(sides))))
    # No ratio of areas, nor its square, makes two of these equal.
    scores = torch.tensor([math.exp(-(place + 1) / 7.3) for place in places], dtype=torch.float64)
    labels = draw(st.lists(st.integers(0, 1), min_size=len(sides), max_size=len(sides)))
    return boxes.reshape(-1, 4), scores, torch.tensor(labels, dtype=torch.int64)


def lists(boxes, scores, labels, agnostic=False):
    labels = [0] * len(labels) if agnostic else labels.tolist()
    return boxes.tolist(), scores.tolist(), labels


def require_turns(found, inputs, share, minimum, agnostic):
    expected = reference.in_turn(*lists(*inputs, agnostic), share, minimum)
    boxes, _, labels = inputs
    kept = torch.tensor([place for place, _ in expected], dtype=torch.int64)
    assert torch.equal(found.boxes, boxes[kept])
    assert torch.equal(found.labels, labels[kept])
    scores = torch.tensor([score for _, score in expected], dtype=torch.float64)
    assert_close(found.scores, scores, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(candidates(), st.booleans())
def test_linear_soft_nms(inputs, agnostic):
    part = SoftNMS(iou_threshold=THRESHOLD, class_agnostic=agnostic)
    require_turns(detect(part, *inputs), inputs, reference.linear(THRESHOLD), 0.001, agnostic)


@settings(max_examples=60, deadline=None)
@given(candidates(), st.booleans())
def test_gaussian_soft_nms(inputs, agnostic):
    part = SoftNMS(method="gaussian", sigma=0.2, minimum_score=0.11, class_agnostic=agnostic)
    require_turns(detect(part, *inputs), inputs, reference.gaussian(0.2), 0.11, agnostic)


@settings(max_examples=60, deadline=None)
@given(candidates(), st.sampled_from([0.6, 1.0]), st.booleans())
def test_diou_nms(inputs, beta, agnostic):
    part = DIoUNMS(threshold=THRESHOLD, beta=beta, class_agnostic=agnostic)
    require_turns(detect(part, *inputs), inputs, reference.greedy(THRESHOLD, beta), 0.0, agnostic)


@settings(max_examples=60, deadline=None)
@given(candidates(), st.booleans())
def test_plain_nms(inputs, agnostic):
    part = NMS(iou_threshold=THRESHOLD, class_agnostic=agnostic)
    require_turns(detect(part, *inputs), inputs, reference.greedy(THRESHOLD, None), 0.0, agnostic)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@settings(max_examples=60, deadline=None)
@given(inputs=candidates(), agnostic=st.booleans())
def test_matrix_nms(method, inputs, agnostic):
    part = MatrixNMS(method=method, sigma=0.4, minimum_score=0.0, class_agnostic=agnostic)
    decay = (lambda x: 1 - x) if method == "linear" else (lambda x: math.exp(-(x**2) / 0.4))
    expected = torch.tensor(reference.matrix(*lists(*inputs, agnostic), decay)).double()
    found = detect(part, *inputs)
    # Duplicates have a score of 0 with `linear`, or of nearly 0 by rounding.
    clear = expected[expected > 1e-5].sort(descending=True).values
    assert_close(found.scores[: len(clear)], clear, rtol=1e-4, atol=1e-6)
    assert (found.scores[len(clear) :] <= 1e-5).all()


@pytest.mark.parametrize("score", ["highest", "mean"])
@settings(max_examples=60, deadline=None)
@given(inputs=candidates(), agnostic=st.booleans())
def test_weighted_boxes_fusion(score, inputs, agnostic):
    part = WeightedBoxesFusion(iou_threshold=THRESHOLD, score=score, class_agnostic=agnostic)
    grid, scores, labels = inputs
    # Uneven lines, so that no box overlaps two clusters equally, which rounding would decide.
    boxes = torch.tensor([0, 1.13, 2.07, 3.31, 4.83, 5.59], dtype=torch.float64)[grid.long()]
    inputs = boxes, scores, labels
    expected = []
    for members, box in reference.fusion(*lists(*inputs, agnostic), THRESHOLD):
        chosen = scores[members]
        value = chosen[0] if score == "highest" else chosen.mean()
        expected.append([value.item(), *box, labels[members[0]].item()])
    found = detect(part, *inputs)
    rows = torch.cat([found.scores[:, None], found.boxes, found.labels[:, None]], dim=1)
    expected.sort(key=lambda row: -row[0])
    wanted = torch.tensor(expected, dtype=torch.float64).reshape(-1, 6)
    assert_close(rows, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("count", "limit"), [(300, 300), (60, 10)])
def test_soft_nms_of_many_boxes_keeps_the_first_of_the_recurrence(count, limit):
    inputs = reference.random_candidates(count, seed=1)
    expected = reference.in_turn(*lists(*inputs), reference.linear(0.3), 0.001)[:limit]
    found = detect(SoftNMS(max_detections=limit), *inputs)
    assert torch.equal(found.boxes, inputs[0][[place for place, _ in expected]])
    scores = torch.tensor([score for _, score in expected], dtype=torch.float64)
    assert_close(found.scores, scores, rtol=1e-5, atol=1e-6)


def test_diou_nms_without_distance_equals_torchvision():
    boxes, scores, labels = reference.random_candidates(600, seed=2)
    # A distance of less than 1 to the power of 60 is nothing.
    found = detect(DIoUNMS(threshold=0.5, beta=60.0, max_detections=600), boxes, scores, labels)
    kept = batched_nms(boxes, scores, labels, 0.5)
    assert torch.equal(found.boxes, boxes[kept])
