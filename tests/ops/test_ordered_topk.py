import torch

from detkit.ops import ordered_topk


def test_the_highest_come_first_and_equal_ones_in_their_order():
    values = torch.tensor([[0.5, -1.0, 0.5, 2.0, -0.0, 0.0], [-3.0, -1.0, -1.0, -2.0, -5.0, -1.0]])
    highest, index = ordered_topk(values, 5)
    assert index.tolist() == [[3, 0, 2, 4, 5], [1, 2, 5, 3, 0]]
    assert torch.equal(highest, values.gather(1, index))


def test_infinite_values():
    values = torch.tensor([0.0, -torch.inf, torch.inf, -torch.inf])
    assert ordered_topk(values, 4)[1].tolist() == [2, 0, 1, 3]
