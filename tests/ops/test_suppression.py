import pytest
import torch

from detkit.ops import chunks, suppression
from detkit.ops.boxes import iou
from detkit.ops.selection import fixed_shapes
from detkit.ops.suppression import suppress_in_turn

BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10], [0, 0, 10, 10]])
SCORES = torch.tensor([0.8, 0.9, 0.7, 0.6])
ALONE = torch.zeros(4).long()


def suppress(boxes, scores, groups, factors, limit):
    """The detections that remain, best first."""
    lowered = suppress_in_turn(boxes[None], scores[None], groups[None], factors, limit)[0]
    values, order = lowered.sort(descending=True, stable=True)
    return order[values > 0], values[values > 0]


def halve_what_overlaps(kept, others):
    return 1 - 0.5 * (iou(kept, others) > 0.1).float()


@pytest.fixture(params=["all that meet nothing better", "row by row"])
def way(request, monkeypatch):
    """Both ways of choosing what a round keeps, whatever the sizes."""
    pairs = 0 if request.param == "row by row" else 10**9
    monkeypatch.setattr(suppression, "_MOST_LISTED", pairs)


def test_scores_are_multiplied_round_by_round(way):
    kept, scores = suppress(BOXES, SCORES, ALONE, halve_what_overlaps, 4)
    assert kept.tolist() == [1, 2, 0, 3]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.4, 0.15])


def test_groups_leave_each_other_alone(way):
    groups = torch.tensor([0, 1, 0, 0])
    kept, scores = suppress(BOXES, SCORES, groups, halve_what_overlaps, 4)
    assert kept.tolist() == [1, 0, 2, 3]
    assert scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.3])


def test_no_more_rounds_than_asked_for(monkeypatch):
    monkeypatch.setattr(suppression, "_MOST_LISTED", 0)
    calls = []

    def count_calls(kept, others):
        calls.append(kept)
        return halve_what_overlaps(kept, others)

    kept, _ = suppress(BOXES, SCORES, ALONE, count_calls, 2)
    assert kept.tolist() == [1, 2]
    assert len(calls) == 2


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_keep_the_same(seed, monkeypatch):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(200, 2, generator=generator) * 100
    boxes = torch.cat([corner, corner + 5 + torch.rand(200, 2, generator=generator) * 40], dim=1)
    scores = torch.rand(200, generator=generator)
    groups = torch.randint(1 + seed, (200,), generator=generator)
    kept, values = suppress(boxes, scores, groups, lambda a, b: (1 - iou(a, b)) ** 2, 50)
    monkeypatch.setattr(suppression, "_MOST_LISTED", 0)
    other, other_values = suppress(boxes, scores, groups, lambda a, b: (1 - iou(a, b)) ** 2, 50)
    assert kept[:50].tolist() == other[:50].tolist()
    torch.testing.assert_close(values[:50], other_values[:50])


def test_boxes_in_a_chain_take_turns(way):
    corner = torch.arange(30.0)[:, None] * 5
    boxes = torch.cat([corner, torch.zeros(30, 1), corner + 10, torch.full((30, 1), 10.0)], dim=1)
    scores, groups = torch.linspace(0.9, 0.7, 30), torch.zeros(30).long()
    kept, _ = suppress(boxes, scores, groups, lambda a, b: (iou(a, b) <= 0.2).float(), 30)
    assert kept.tolist() == list(range(0, 30, 2))


def test_the_first_of_equal_scores_comes_first(way):
    kept, _ = suppress(BOXES, torch.full((4,), 0.5), ALONE, halve_what_overlaps, 4)
    assert kept.tolist() == [0, 2, 1, 3]


def test_scores_that_come_in_stay_as_they_are(way):
    scores = SCORES.clone()
    suppress(BOXES, scores, ALONE, halve_what_overlaps, 4)
    assert torch.equal(scores, SCORES)


def test_pairs_are_looked_at_in_pieces_of_bounded_size(monkeypatch):
    shapes = []

    def see_shapes(kept, others):
        shapes.append(torch.broadcast_shapes(kept.shape, others.shape)[:-1].numel())
        return halve_what_overlaps(kept, others)

    monkeypatch.setattr(chunks, "MOST_PAIRS", 100)
    boxes = BOXES.repeat(5, 1)
    suppress(boxes, SCORES.repeat(5), ALONE.repeat(5), see_shapes, 20)
    assert max(shapes) <= 100


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e9])  # normalised boxes, and what left the image
@pytest.mark.parametrize("groups", [1, 7])
def test_all_pairs_that_overlap_are_looked_at(scale, groups):
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(150, 2, generator=generator) * 100 - 50
    boxes = torch.cat([corner, corner + torch.rand(150, 2, generator=generator) * 30], dim=1)
    boxes, group = boxes * scale, torch.randint(groups, (150,), generator=generator)
    first, second = suppression._overlapping_pairs(boxes, group)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    overlap = (iou(boxes[:, None], boxes[None]) > 0) & (group[:, None] == group)
    expected = {(a, b) for a, b in overlap.nonzero().tolist() if a < b}
    assert len(expected) > 100
    assert {tuple(sorted(pair)) for pair in found} >= expected
    assert len(found) == len(first)
    assert not any((b, a) in found for a, b in found)


def test_nan_boxes_hide_no_others():
    boxes = torch.cat([BOXES, torch.tensor([[float("nan")] * 4, [-float("inf"), 0, 1, 1]])])
    scores, groups = torch.cat([SCORES, torch.tensor([0.1, 0.1])]), torch.zeros(6).long()
    kept, values = suppress(boxes, scores, groups, halve_what_overlaps, 6)
    assert kept[:4].tolist() == [1, 2, 0, 3]
    assert values[:4].tolist() == pytest.approx([0.9, 0.7, 0.4, 0.15])


@pytest.mark.parametrize("pairs", [0, 60, 10**9])  # row by row, image by image, all images at once
def test_images_of_a_batch_are_suppressed_apart(pairs, monkeypatch):
    monkeypatch.setattr(suppression, "_MOST_LISTED", pairs)
    images, groups = BOXES.repeat(3, 5, 1), ALONE.repeat(3, 5)
    scores = torch.stack([SCORES.repeat(5) * share for share in (1.0, 0.5, 0.0)])
    together = suppress_in_turn(images, scores, groups, halve_what_overlaps, 20)
    for row, image_scores in zip(together, scores, strict=True):
        alone = suppress_in_turn(
            images[:1], image_scores[None], groups[:1], halve_what_overlaps, 20
        )
        torch.testing.assert_close(row, alone[0])


@pytest.mark.parametrize(("most", "copies"), [(12, 1), (11, 0)])
def test_few_candidates_of_an_accelerator_are_copied_once(most, copies, monkeypatch):
    monkeypatch.setattr(suppression, "_MOST_COPIED", most)
    images, groups = BOXES.repeat(3, 1, 1), ALONE.repeat(3, 1)
    scores = torch.stack([SCORES * share for share in (1.0, 0.5, 0.0)])
    expected = suppress_in_turn(images, scores, groups, halve_what_overlaps, 4)
    copied, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: copied.append(t.shape) or cpu(t))
    with fixed_shapes():
        assert torch.equal(
            suppress_in_turn(images, scores, groups, halve_what_overlaps, 4), expected
        )
    assert copied == [(3, 4, 6)] * copies
