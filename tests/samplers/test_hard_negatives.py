"""Hard negatives, counted by hand."""

import torch

from detkit.samplers import HardNegatives
from detkit.structures import BACKGROUND, IGNORED

NO, OUT = BACKGROUND, IGNORED


def chosen(matched, losses, **values):
    mask = HardNegatives(**values)(torch.tensor([matched]), torch.tensor([losses]))
    return mask[0].nonzero().squeeze(1).tolist()


def test_three_of_the_highest_loss_for_each_positive():
    matched = [NO, 0, NO, NO, NO, NO]
    assert chosen(matched, [0.1, 9.0, 0.5, 0.2, 0.4, 0.3]) == [1, 2, 4, 5]
    assert chosen(matched, [0.1, 0.0, 0.5, 0.2, 0.4, 0.3], ratio=1.0, minimum=0) == [1, 2]


def test_all_positives_count_whatever_their_loss():
    assert chosen([4, 0, 2, NO], [0.0, 0.0, 0.0, 1.0]) == [0, 1, 2, 3]


def test_where_background_is_rarer_all_of_it_counts():
    assert chosen([0, NO, NO], [1.0, 0.1, 0.2]) == [0, 1, 2]


def test_ignored_priors_never_count_however_high_their_loss():
    assert chosen([0, OUT, NO, OUT, NO], [1.0, 9.0, 0.1, 9.0, 0.2], ratio=1.0, minimum=1) == [0, 4]


def test_an_image_without_objects_gives_the_minimum():  # pain 14
    losses = [0.1, 0.9, 0.8, 0.7, 0.6]
    assert chosen([NO] * 5, losses) == [1, 2, 3]
    assert chosen([NO] * 5, losses, minimum=2) == [1, 2]
    assert chosen([NO] * 5, losses, minimum=0) == []  # as torchvision


def test_an_image_with_objects_has_the_minimum_too():
    assert chosen([0, NO, NO, NO], [1.0, 0.3, 0.2, 0.1], ratio=1.0, minimum=2) == [0, 1, 2]


def test_each_image_counts_for_itself():
    matched = torch.tensor([[0, NO, NO, NO], [NO] * 4])
    losses = torch.tensor([[0.0, 0.1, 0.2, 0.3], [9.0, 8.0, 7.0, 6.0]])
    mask = HardNegatives(ratio=2.0, minimum=1)(matched, losses)
    assert mask.tolist() == [[True, False, True, True], [True, False, False, False]]


def test_of_equal_losses_exactly_as_many_count():
    assert len(chosen([0] + [NO] * 20, [0.5] * 21)) == 4


def test_a_part_of_a_prior_is_rounded_down():
    assert chosen([0, 0, 0, NO, NO], [0.0, 0, 0, 1, 2], ratio=0.5, minimum=0) == [0, 1, 2, 4]


def test_a_nan_loss_is_not_hidden():
    assert chosen([0, NO, NO], [1.0, float("nan"), 5.0], ratio=1.0, minimum=0) == [0, 1]
