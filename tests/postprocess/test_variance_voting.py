"""Variance voting, by hand and against the paper's algorithm box by box."""

import math

import pytest
import suppression_references as reference
import torch
from torch.testing import assert_close

from detkit.ops.selection import fixed_shapes
from detkit.postprocess.variance_voting import VarianceVoting

# Two boxes with an IoU of 1/2 and one apart.
BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60]])
SCORES = torch.tensor([0.9, 0.8, 0.7])
LABELS = torch.zeros(3, dtype=torch.int64)


def vote(part, boxes, scores, labels, variances):
    return part.vote(boxes[None], scores[None], labels[None], variances[None]).split()[0]


def test_a_neighbour_moves_a_side_by_its_share():
    variances = torch.ones(3, 4)
    variances[1, 3] = 0.25  # the second box is sure about its lower side
    part = VarianceVoting(voting_sigma=0.5)
    detections = vote(part, BOXES, SCORES, LABELS, variances)
    weight = math.exp(-(0.5**2) / 0.5) / 0.25
    lower = (10 + weight * 20) / (1 + weight)
    assert_close(detections.boxes[0], torch.tensor([0, 0, 10, lower]))


def test_scores_are_those_of_gaussian_soft_nms():
    detections = vote(VarianceVoting(), BOXES, SCORES, LABELS, torch.ones(3, 4))
    lowered = 0.8 * math.exp(-(0.5**2) / 0.5)
    assert_close(detections.scores, torch.tensor([0.9, 0.7, lowered]))


def test_better_boxes_do_not_vote():
    detections = vote(VarianceVoting(), BOXES, SCORES, LABELS, torch.ones(3, 4))
    assert_close(detections.boxes[2], BOXES[1])


@pytest.mark.parametrize(("class_agnostic", "moves"), [(False, False), (True, True)])
def test_other_classes_vote_only_if_agnostic(class_agnostic, moves):
    part = VarianceVoting(voting_sigma=0.5, class_agnostic=class_agnostic)
    detections = vote(part, BOXES, SCORES, torch.tensor([0, 1, 2]), torch.ones(3, 4))
    assert (detections.boxes[0] != BOXES[0]).any() == moves


def voted_in_turn(part, boxes, scores, labels, variances):
    """Algorithm 1 of the paper: (score, box), best first."""
    remaining, detections = dict(enumerate(scores)), []
    while remaining:
        best = max(remaining, key=lambda number: remaining[number])
        weights = {}
        for number in remaining:
            share = 1.0 if number == best else reference.overlap(boxes[best], boxes[number])
            if labels[number] == labels[best] and share > part.voting_iou:
                weights[number] = math.exp(-((1 - share) ** 2) / part.voting_sigma)
        box = []
        for side in range(4):
            votes = {number: w / variances[number][side] for number, w in weights.items()}
            total = sum(votes.values())
            box.append(sum(w * boxes[number][side] for number, w in votes.items()) / total)
        detections.append((remaining.pop(best), box))
        lower = reference.gaussian(part.sigma)
        for number in remaining:
            if labels[number] == labels[best]:
                remaining[number] *= lower(boxes[best], boxes[number])
    return detections


def test_it_equals_the_algorithm_of_the_paper():
    part = VarianceVoting(max_detections=20)
    boxes, scores, labels = reference.random_candidates(40, 0)
    generator = torch.Generator().manual_seed(1)
    variances = torch.rand(40, 4, generator=generator, dtype=torch.float64) + 0.1
    columns = (boxes.tolist(), scores.tolist(), labels.tolist(), variances.tolist())
    expected = voted_in_turn(part, *columns)[:20]
    detections = vote(part, boxes, scores, labels, variances)
    assert_close(detections.scores, torch.tensor([s for s, _ in expected], dtype=torch.float64))
    assert_close(detections.boxes, torch.tensor([b for _, b in expected], dtype=torch.float64))


def test_padding_does_not_vote():
    padded = [torch.cat([column, column[:1]]) for column in (BOXES, SCORES, LABELS)]
    padded[1][3] = 0.0
    part, variances = VarianceVoting(), torch.ones(4, 4)
    with fixed_shapes():
        detections = vote(part, *padded, variances)
    assert_close(detections, vote(part, BOXES, SCORES, LABELS, variances[:3]))
