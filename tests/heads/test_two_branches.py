"""FSAF with the anchor branch: each branch does what its head alone would do."""

import pytest
import torch

from detkit.errors import UserError
from detkit.structures import PaddedTargets, Target

SIZES = [(8, 12), (4, 6), (2, 3)]
IMAGE_SIZES = torch.tensor([[64.0, 96.0], [64.0, 96.0]])
FREE = {
    "box_coder": {"name": "distance", "activation": "exp", "unit": 4.0},
    "classification_loss": {"name": "focal", "weight": 0.5},
    "box_loss": {"name": "iou", "mode": "log", "weight": 0.5},
}


def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 8, *size, generator=generator) for size in SIZES]


def targets():
    boxes = torch.tensor([[4.0, 4, 36, 34], [40, 10, 90, 60]])
    return PaddedTargets.of([Target(boxes, torch.tensor([0, 2]), torch.zeros(2).bool())] * 2)


@pytest.fixture
def heads(build_head):
    """The head of both branches, and RetinaNet and FSAF with their share of its weights."""
    head = build_head("fsaf_anchors")
    alone = [build_head("retinanet"), build_head("fsaf", **FREE)]
    rows = [slice(0, 9), slice(9, 10)]  # of the ten priors of a cell
    for part, selection in zip(alone, rows, strict=True):
        state = head.layers.state_dict()
        for name, width in (("class_layer", 3), ("box_layer", 4)):
            for kind in ("weight", "bias"):
                values = state[f"{name}.{kind}"].unflatten(0, (10, width))
                state[f"{name}.{kind}"] = values[selection].flatten(0, 1)
        part.layers.load_state_dict(state)
    return head, *alone


def test_losses_are_those_of_both_heads_alone(heads):
    head, anchored, free = heads
    losses = head.loss(features(), targets())
    expected = anchored.loss(features(), targets())
    for name, value in free.loss(features(), targets()).items():
        expected[name.replace("/", "/free_")] = value
    torch.testing.assert_close(losses, expected)


def test_boxes_and_scores_are_those_of_both_heads(heads):
    head, *alone = heads
    results = [part.boxes_and_scores(features(), IMAGE_SIZES) for part in alone]
    expected = tuple(torch.cat(values, dim=1) for values in zip(*results, strict=True))
    torch.testing.assert_close(head.boxes_and_scores(features(), IMAGE_SIZES), expected)


def test_assignments_are_those_of_both_heads(heads):
    head, *alone = heads
    priors, matched = head.assign(features(), targets())
    results = [part.assign(features(), targets()) for part in alone]
    assert torch.equal(matched, torch.cat([objects for _, objects in results], dim=1))
    assert torch.equal(priors.boxes, torch.cat([part.boxes for part, _ in results]))


def test_candidates_of_both_branches_are_suppressed_together(heads):
    head, *alone = heads
    for part in heads:
        part.postprocess.score_threshold = 0.0
    counts = [part.predict(features(), IMAGE_SIZES).counts for part in alone]
    detections = head.predict(features(), IMAGE_SIZES)
    boxes, scores = detections.boxes[0], detections.scores[0]
    assert (scores.diff() <= 0).all()
    assert detections.counts[0] < counts[0][0] + counts[1][0]
    assert (
        torch.cat([p.predict(features(), IMAGE_SIZES).scores[0] for p in alone]).max() == scores[0]
    )
    assert len(boxes) == len(scores)


def test_branches_share_their_layers(build_head):
    head = build_head("fsaf_anchors")
    assert {name.split(".")[0] for name in head.state_dict()} == {"layers"}
    assert head.layers.class_layer.out_channels == 10 * 3


@pytest.mark.parametrize(
    ("slot", "part", "message"),
    [
        ("free_box_coder", "distribution", "same values per code, got 4 and 64"),
        ("free_classification_loss", "cross_entropy", "activation, got sigmoid and softmax"),
        ("layers", "decoupled", "predict for 126 priors, but both branches have 1260, 10 in each"),
    ],
)
def test_parts_that_branches_cannot_share_are_refused(build_head, slot, part, message):
    with pytest.raises(UserError, match=message):
        build_head("fsaf_anchors", **{slot: {"name": part}}).loss(features(), targets())
