import torch

from detkit.ops.packing import pack_groups


def numbered_boxes(count):
    return torch.arange(1.0, count + 1)[:, None].repeat(1, 4)


def test_a_row_for_each_group_best_first():
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3])
    packed = pack_groups(numbered_boxes(5), scores, torch.tensor([7, 2, 7, 2, 2]))
    assert packed.candidate.tolist() == [[1, 3, 4], [2, 0, 0]]
    assert torch.equal(packed.scores, torch.tensor([[0.9, 0.7, 0.3], [0.5, 0.1, 0.0]]))
    assert packed.boxes[..., 0].tolist() == [[2, 4, 5], [3, 1, 0]]
    assert packed.groups.tolist() == [[2, 2, 2], [7, 7, 0]]


def test_one_row_where_a_group_has_nearly_all():
    groups = torch.tensor([0, 1, 1, 1, 1, 1])
    scores = torch.tensor([0.3, 0.1, 0.2, 0.6, 0.5, 0.4])
    packed = pack_groups(numbered_boxes(6), scores, groups)
    assert packed.candidate.tolist() == [[3, 4, 5, 0, 2, 1]]
    assert packed.groups.tolist() == [[1, 1, 1, 0, 1, 1]]


def test_equal_scores_keep_their_order():
    packed = pack_groups(numbered_boxes(4), torch.full((4,), 0.5), torch.tensor([1, 0, 1, 0]))
    assert packed.candidate.tolist() == [[1, 3], [0, 2]]


def test_nothing():
    packed = pack_groups(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
    assert packed.boxes.shape == (1, 0, 4)
    assert packed.candidate.shape == (1, 0)
