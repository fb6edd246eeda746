"""YOLOv2's squared errors, worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.losses.yolov2 import SquaredScore, YOLOv2BoxLoss


def test_scores_of_objects_count_more():
    logits = torch.tensor([[0.0], [0.0], [0.0]])  # scores of 1/2
    losses = SquaredScore(object_weight=5.0)(
        logits, torch.tensor([0, 0, -1]), torch.tensor([1.0, 0.7, 0.3])
    )
    assert_close(losses, torch.tensor([5 * 0.5**2 / 2, 5 * 0.2**2 / 2, 0.5**2 / 2]))


def test_the_gradient_of_a_score_is_darknets():
    logits = torch.tensor([[0.3]], requires_grad=True)
    SquaredScore(object_weight=5.0)(logits, torch.tensor([0])).backward()
    score = logits.detach().sigmoid()
    assert_close(logits.grad, 5 * (score - 1) * score * (1 - score))


def test_positions_are_compared_after_the_sigmoid():
    target = torch.tensor([[0.25, 0.5, 0.0, 1.0]])
    target[:, :2] = target[:, :2].logit()
    losses = YOLOv2BoxLoss()(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), target)
    assert_close(losses, torch.tensor([(0.25**2 + 2.0**2) / 2]))


def test_small_objects_count_up_to_twice():
    weights = YOLOv2BoxLoss().size_weights(torch.tensor([0.0, 0.25, 1.0]))
    assert weights.tolist() == [2.0, 1.75, 1.0]


def test_priors_learn_their_anchors_during_the_first_images():
    loss = YOLOv2BoxLoss(prior_images=4)
    codes = torch.tensor([[[0.0, 0.0, 3.0, 1.0], [0.0, 0.0, 9.0, 9.0]]] * 2)
    positive = torch.tensor([[False, True]] * 2)
    for expected in (0.05, 0.05, 0.0):  # 0.01 * (3^2 + 1^2) / 2, for two batches of two images
        assert_close(loss.unmatched(codes, positive), torch.tensor([[expected, 0.0]] * 2))


def test_evaluation_counts_no_images():
    loss = YOLOv2BoxLoss().eval()
    loss.unmatched(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.bool))
    assert int(loss.images_seen) == 0


def test_linear_outputs_are_scores_themselves():
    losses = SquaredScore(linear=True)(
        torch.tensor([[0.5, 2.0], [1.5, 0.0]]), torch.tensor([1, -1])
    )
    assert_close(losses, torch.tensor([(0.5**2 + 1.0) / 2, 1.5**2 / 2]))
    assert SquaredScore(linear=True).activation == "identity"


def test_a_soft_clip_changes_scores_but_no_loss():
    logits, labels = torch.tensor([[0.5, 2.0], [1.5, 0.0]]), torch.tensor([1, -1])
    soft, hard = SquaredScore(linear=True, soft_clip=True), SquaredScore(linear=True)
    assert soft.activation == "soft_clip"
    assert torch.equal(soft(logits, labels), hard(logits, labels))


def test_a_soft_clip_of_a_sigmoid_is_refused():
    with pytest.raises(UserError, match=r"soft_clip=true limits linear outputs.*set linear=true"):
        SquaredScore(soft_clip=True)
