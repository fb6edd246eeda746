"""Scores of class logits that are linear outputs, by hand."""

import torch
from torch.testing import assert_close

from detkit.ops import binary_scores, class_scores

LINEAR = torch.tensor([[-1.0, 0.0, 0.5, 0.8, 1.0, 2.0]])


def test_linear_outputs_are_limited_to_0_and_1():
    assert class_scores(LINEAR, "identity")[0].tolist() == [0, 0, 0.5, LINEAR[0, 3].item(), 1, 1]


def test_a_soft_clip_bends_outputs_above_08_towards_1():
    expected = [0, 0, 0.5, 0.8, 0.9, 0.8 + 0.2 * 1.2 / 1.4]
    assert_close(class_scores(LINEAR, "soft_clip"), torch.tensor([expected]))


def test_a_soft_clip_keeps_the_order_of_outputs_beyond_1():
    scores = class_scores(torch.linspace(0.5, 10, 1000), "soft_clip")
    assert (scores.diff() > 0).all()
    assert scores.max() < 1


def test_a_binary_score_has_no_logit_of_background():
    for activation in ("softmax", "conditional_softmax", "sigmoid"):
        assert torch.equal(binary_scores(LINEAR, activation), LINEAR.sigmoid())
    assert torch.equal(binary_scores(LINEAR, "identity"), LINEAR.clamp(0, 1))
