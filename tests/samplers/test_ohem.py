import math

import pytest
import torch

from detkit.samplers import OnlineHardExamples
from detkit.structures import BACKGROUND, IGNORED

MATCHED = torch.tensor([[0, BACKGROUND, 1, BACKGROUND, IGNORED, BACKGROUND, 0]])
LOSSES = torch.tensor([[0.5, 0.2, 0.9, 0.7, 9.0, 0.3, 0.1]])


@pytest.mark.parametrize(
    ("number", "fraction", "expected"),
    [
        (4, 0.5, [0, 2, 3, 5]),  # two of each kind
        (4, 0.25, [1, 2, 3, 5]),  # one positive, background fills up
        (3, 0.0, [1, 3, 5]),
        (2, 1.0, [0, 2]),
        (100, 0.5, [0, 1, 2, 3, 5, 6]),
    ],
)
def test_the_highest_losses_of_each_kind(number, fraction, expected):
    sampler = OnlineHardExamples(number=number, positive_fraction=fraction)
    assert sampler(MATCHED, LOSSES).nonzero()[:, 1].tolist() == expected


def test_each_image_by_itself():
    matched = MATCHED.repeat(2, 1)
    matched[1] = BACKGROUND
    losses = torch.cat([LOSSES, LOSSES.flip(1)])
    mask = OnlineHardExamples(number=2, positive_fraction=0.5)(matched, losses)
    assert mask[0].nonzero().flatten().tolist() == [2, 3]
    assert mask[1].nonzero().flatten().tolist() == [2, 4]


def test_equal_losses_give_the_right_number():
    mask = OnlineHardExamples(number=4, positive_fraction=0.5)(MATCHED, torch.ones(1, 7))
    assert mask.sum() == 4
    assert (mask & (MATCHED >= 0)).sum() == 2


def test_a_non_finite_loss_is_not_omitted():
    losses = LOSSES.clone()
    losses[0, 1], losses[0, 6] = math.nan, math.inf
    mask = OnlineHardExamples(number=2, positive_fraction=0.5)(MATCHED, losses)
    assert mask.nonzero()[:, 1].tolist() == [1, 6]
