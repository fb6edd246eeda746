import torch

from detkit.ops.groups import largest_in_groups, positions_in_groups


def test_ranks_start_anew_in_each_group_and_the_first_of_equals_comes_first():
    values = torch.tensor([1.0, 5.0, 3.0, 3.0, 3.0, 9.0])
    groups = torch.tensor([2, 0, 2, 0, 2, 0])
    assert positions_in_groups(values, groups).tolist() == [2, 1, 0, 2, 1, 0]


def test_infinities_are_ranked():
    values = torch.tensor([-torch.inf, 0.0, torch.inf])
    assert positions_in_groups(values, torch.zeros(3).long()).tolist() == [2, 1, 0]


def test_most_of_groups_is_zero_where_a_group_is_empty():
    values, groups = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([2, 2, 0])
    assert largest_in_groups(values, groups, 4).tolist() == [0.5, 0.0, 2.0, 0.0]


def test_nothing():
    nothing, groups = torch.zeros(0), torch.zeros(0).long()
    assert positions_in_groups(nothing, groups).shape == (0,)
    assert largest_in_groups(nothing, groups, 2).tolist() == [0.0, 0.0]
