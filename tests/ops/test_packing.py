import pytest
import torch

from detkit.ops.packing import pack_groups, pack_images


def numbered_boxes(count):
    return torch.arange(1.0, count + 1)[:, None].repeat(1, 4)


def pack(scores, groups):
    """The only image of a batch."""
    return pack_groups(numbered_boxes(len(scores))[None], scores[None], torch.tensor([groups]))


def test_a_row_for_each_group_best_first():
    packed = pack(torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3]), [7, 2, 7, 2, 2])
    assert packed.candidate.tolist() == [[1, 3, 4], [2, 0, 5]]
    assert torch.equal(packed.scores, torch.tensor([[0.9, 0.7, 0.3], [0.5, 0.1, 0.0]]))
    assert packed.boxes[..., 0].tolist() == [[2, 4, 5], [3, 1, 0]]
    assert packed.groups.tolist() == [[2, 2, 2], [7, 7, 0]]


def test_a_row_for_the_image_where_a_group_has_nearly_all():
    packed = pack(torch.tensor([0.3, 0.1, 0.2, 0.6, 0.5, 0.4]), [0, 1, 1, 1, 1, 1])
    assert packed.candidate.tolist() == [[3, 4, 5, 0, 2, 1]]
    assert packed.groups.tolist() == [[1, 1, 1, 0, 1, 1]]


def test_equal_scores_keep_their_order():
    assert pack(torch.full((4,), 0.5), [1, 0, 1, 0]).candidate.tolist() == [[1, 3], [0, 2]]


@pytest.mark.parametrize("count", [0, 3])
def test_nothing(count):
    packed = pack(torch.zeros(count), [0] * count)
    assert packed.boxes.shape == (1, count, 4)
    assert not packed.scores.any()


def test_images_have_rows_of_their_own():
    boxes = numbered_boxes(8).view(2, 4, 4)
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.0, 0.0]])
    packed = pack_groups(boxes, scores, torch.tensor([[0, 0, 1, 1], [0, 1, 0, 0]]))
    assert packed.candidate.tolist() == [[1, 0], [3, 2], [4, 8], [5, 8]]


@pytest.mark.parametrize("pack", [pack_groups, pack_images])
def test_values_return_to_their_candidates(pack):
    scores = torch.rand(3, 9, generator=torch.Generator().manual_seed(0)).relu()
    scores[0, :4] = 0
    packed = pack(numbered_boxes(27).view(3, 9, 4), scores, torch.arange(9).repeat(3, 1) % 2)
    assert torch.equal(packed.unpack(packed.scores, scores), scores)
    shown = numbered_boxes(27).view(3, 9, 4) * (scores > 0)[..., None]
    boxes = packed.unpack(packed.boxes * (packed.scores > 0)[..., None], scores)
    assert torch.equal(boxes, shown)
