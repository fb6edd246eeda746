import math

import pytest
import torch
from torch.testing import assert_close

from detkit.losses.labels import split_at_label

LOGITS = torch.tensor([[0.0, math.log(4)], [math.log(4), 0.0]])  # p = 0.5, 0.8
LABELS = torch.tensor([0, -1])


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_other_classes_are_summed_and_the_logit_of_the_label_comes_apart(gamma):
    half, most = 0.5**gamma * math.log(2), 0.8**gamma * math.log(5)
    others, chosen = split_at_label(LOGITS, LABELS, gamma)
    assert_close(others, torch.tensor([most, half + most]))
    assert_close(chosen, torch.tensor([0.0, 0.0]))
    assert_close(split_at_label(LOGITS, LABELS + 1, gamma)[1], torch.tensor([math.log(4)] * 2))


def test_background_has_no_logit_of_a_label_and_gives_it_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    _, chosen = split_at_label(logits, LABELS, 2.0)
    (gradient,) = torch.autograd.grad(chosen.sum(), logits)
    assert gradient.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_the_gradient_of_the_others_leaves_the_label_out():
    logits = LOGITS.clone().requires_grad_()
    others, _ = split_at_label(logits, LABELS, 0.0)
    (gradient,) = torch.autograd.grad(others.sum(), logits)  # the probabilities
    assert_close(gradient, torch.tensor([[0.0, 0.8], [0.8, 0.5]]))
