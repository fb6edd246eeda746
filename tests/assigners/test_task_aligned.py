import pytest
import torch
from assigner_scenes import assign as assign_image
from assigner_scenes import objects, points, priors_from, random_objects
from torch.testing import assert_close

from detkit.assigners import TaskAlignedAssigner
from detkit.ops import chunks
from detkit.structures import BACKGROUND, Target

# Points at 4, 12, 20 and 28, all at height 4.
FOUR = priors_from(*([8.0 * i, 0.0, 8.0 * i + 8, 8.0] for i in range(4)))


def assign(priors, scores, boxes, target, **values):
    scores = torch.tensor(scores, dtype=torch.float32)
    scores = scores[:, None] if scores.ndim == 1 else scores
    boxes = torch.tensor(boxes, dtype=torch.float32)
    return assign_image(TaskAlignedAssigner(**values), priors, target, scores, boxes)


def wide(*lengths, height=8.0):
    """Boxes from the left upper corner, as long as given: their IoUs are shares of lengths."""
    return [[0.0, 0.0, length, height] for length in lengths]


def test_the_best_aligned_priors_inside_are_positive_with_soft_targets():
    # IoUs with the object 1, 1/2, 3/4 and 1; alignments s * u^2: 0.2, 0.2, 0.225, and outside.
    found = assign(
        FOUR, [0.2, 0.8, 0.4, 0.9], wide(24, 12, 18, 24), objects(*wide(24)), topk=2, beta=2.0
    )
    # Of the equal ones the first is taken. The best target is the highest IoU, 1.
    assert found.matched.tolist() == [0, BACKGROUND, 0, BACKGROUND]
    assert_close(found.scores[[0, 2]], torch.tensor([0.2 / 0.225, 1.0]))


def test_targets_are_scaled_to_the_highest_iou_of_the_positives():
    # Alignments 0.5 * 1/2, 0.5 * 3/4: targets 2/3 * 3/4 and 3/4.
    found = assign(FOUR, [0.5, 0.5, 0, 0], wide(12, 18, 24, 24), objects(*wide(24)), beta=1.0)
    assert found.matched.tolist() == [0, 0, BACKGROUND, BACKGROUND]  # a score of 0 aligns nothing
    assert_close(found.scores[:2], torch.tensor([0.5, 0.75]))


def test_exponents():
    # s^0.5 * u^3 is 0.5 * 1 and 1 * 1/8; without the score of classes 1 and 1/8.
    boxes, target = wide(24, 12, 24, 24), objects(*wide(16))
    boxes[0], boxes[1] = wide(16, 8)
    found = assign(FOUR, [0.25, 1, 0, 0], boxes, target, alpha=0.5, beta=3.0)
    assert_close(found.scores[:2], torch.tensor([1.0, 0.25]))
    found = assign(FOUR, [0.25, 1, 0, 0], boxes, target, alpha=0.0, beta=3.0)
    assert_close(found.scores[:2], torch.tensor([1.0, 0.125]))


def test_complete_iou_subtracts_the_distance_of_the_centres():
    # The second box: IoU 1/3, centres 8 apart in an enclosing box of 24 x 8. The third has IoU 0.
    boxes = [[0.0, 0, 16, 8], [8.0, 0, 24, 8], [16.0, 0, 32, 8], [16.0, 0, 32, 8]]
    values = {"alpha": 0.0, "beta": 1.0, "overlap": "ciou", "least_overlap": 0.0}
    found = assign(FOUR, [0.5] * 4, boxes, objects([0.0, 0, 16, 8]), **values)
    assert found.matched.tolist() == [0, 0, BACKGROUND, BACKGROUND]
    assert_close(found.scores[:2], torch.tensor([1.0, 1 / 3 - 64 / 640]))


def test_the_score_is_that_of_the_class_of_the_object():
    target = Target(torch.tensor(wide(16)), torch.tensor([1]), torch.tensor([False]))
    scores = [[0.9, 0.1], [0.1, 0.2], [0.9, 0.9], [0.9, 0.9]]
    found = assign(FOUR, scores, wide(16, 16, 16, 16), target, topk=1)
    assert found.matched.tolist() == [BACKGROUND, 0, BACKGROUND, BACKGROUND]


def test_a_prior_that_two_objects_want_goes_to_the_higher_iou_and_the_first_of_equals():
    small, large = wide(12, 24)
    boxes = wide(12, 16, 24, 24)  # the second: IoU 3/4 with the small one, 2/3 with the large one
    for order, expected in (((small, large), [0, 0, 1]), ((large, small), [1, 1, 0])):
        # The first fits the small one wholly; it is the second that both want.
        found = assign(FOUR, [0.5] * 4, boxes, objects(*order), beta=1.0)
        assert found.matched.tolist()[:3] == expected
    found = assign(FOUR, [0.5] * 4, boxes, objects(large, large), beta=1.0)
    assert found.matched.tolist()[:3] == [0, 0, 0]


def test_an_object_inside_another_keeps_its_best_prior():
    # All boxes fit the large object better; of the small one the third fits best.
    small, large = [8.0, 0.0, 24.0, 8.0], wide(32)[0]
    boxes = [*wide(32, 32), [4.0, 0.0, 32.0, 8.0], *wide(32)]
    target = objects(large, small)
    assert assign(FOUR, [0.5] * 4, boxes, target, keep_best=False).matched.tolist() == [0] * 4
    found = assign(FOUR, [0.5] * 4, boxes, target)
    assert found.matched.tolist() == [0, 0, 1, 0]
    assert_close(found.scores[2].item(), 16 / 28)


def test_a_prior_that_is_the_best_of_two_objects_goes_to_the_higher_iou():
    small, large = [0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 16.0]
    for order, expected in (((small, large), 1), ((large, small), 0)):
        found = assign(FOUR, [0.5] * 4, [[0.0, 0.0, 8.0, 14.0]] * 4, objects(*order))
        assert found.matched.tolist() == [expected, BACKGROUND, BACKGROUND, BACKGROUND]


def test_what_an_object_lost_to_another_does_not_count_in_its_targets():
    # The second prior fits the small object best, and goes to it; the large one keeps the third,
    # whose IoU of 3/4 is then its target, not the 1 of the fourth, which is outside.
    small, large = [8.0, 0.0, 16.0, 8.0], wide(24)[0]
    boxes = [*wide(1), small, *wide(18), *wide(24)]
    found = assign(FOUR, [0.5] * 4, boxes, objects(small, large), beta=1.0)
    assert found.matched.tolist() == [1, 0, 1, BACKGROUND]
    assert_close(found.scores[:3], torch.tensor([1 / 24, 1.0, 0.75]))


def test_an_object_that_nothing_overlaps_yet_is_matched_by_the_priors_themselves():
    # All boxes are empty. Points count as boxes of 32 x 32 around them: IoUs with the object, 32
    # long and 8 high, are 20 * 8, 28 * 8, 28 * 8 and 20 * 8 over unions 1120, 1056, 1056, 1120.
    target = objects(*wide(32))
    nothing = [[0.0, 0.0, 0.0, 0.0]] * 4
    found = assign(FOUR, [0.5] * 4, nothing, target, beta=1.0, topk=3)
    outer, inner = 160 / 1120, 224 / 1056
    assert found.matched.tolist() == [0, 0, 0, BACKGROUND]
    assert_close(found.scores[:3], torch.tensor([outer / inner, 1.0, 1.0]))
    without = assign(FOUR, [0.5] * 4, nothing, target, least_overlap=0.0)
    assert without.matched.tolist() == [BACKGROUND] * 4


def test_a_prediction_that_overlaps_enough_ends_that():
    target = objects(*wide(30))
    found = assign(FOUR, [0.5] * 4, wide(3.01, 0, 0, 0), target)
    assert found.matched.tolist() == [0] + [BACKGROUND] * 3
    assert_close(found.scores[0].item(), 3.01 / 30)
    assert assign(FOUR, [0.5] * 4, wide(2.99, 0, 0, 0), target).matched.tolist() == [0] * 4


def test_an_object_smaller_than_a_cell_takes_the_cells_around_it():
    # It is between all centres. Counted as 16 x 16 around 8, 8 it has the centres 4 and 12.
    tiny = objects([7.0, 7.0, 9.0, 9.0])
    priors = points()
    count = len(priors.boxes)
    boxes = tiny.boxes.expand(count, 4).tolist()
    found = assign(priors, [0.5] * count, boxes, tiny)
    assert (found.matched >= 0).nonzero()[:, 0].tolist() == [0, 1, 20, 21, 16 * 20]
    found = assign(priors, [0.5] * count, boxes, tiny, least_cells=0.0)
    # 8, 8 is the centre of a cell of the second level.
    assert (found.matched >= 0).nonzero()[:, 0].tolist() == [16 * 20]


def test_more_objects_than_priors():
    target = objects(*wide(*range(10, 40)))
    found = assign(FOUR, [0.5] * 4, wide(12, 20, 30, 33), target)
    assert found.matched.tolist() == [2, 10, 20, 23]  # of each the one that it fits
    assert_close(found.scores, torch.ones(4))


def test_without_objects():
    found = assign(FOUR, [0.5] * 4, wide(1, 1, 1, 1), objects())
    assert found.matched.tolist() == [BACKGROUND] * 4


AS_IN_THE_PAPER = {"least_overlap": 0.0, "least_cells": 0.0, "keep_best": False}


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def rule_of_the_paper(priors, scores, boxes, target, topk):
    """Object by object, in Python's own numbers."""
    wanted = []  # object, prior, alignment, IoU
    for number, box in enumerate(target.boxes.tolist()):
        inside = []
        for prior, (x1, y1, x2, y2) in enumerate(priors.boxes.tolist()):
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            if box[0] < x < box[2] and box[1] < y < box[3]:
                u = overlap(boxes[prior], box)
                if u > 0:
                    inside.append((number, prior, scores[prior] * u**6, u))
        wanted += sorted(inside, key=lambda pair: -pair[2])[:topk]
    owner = {}
    for pair in sorted(wanted, key=lambda pair: -pair[3]):
        owner.setdefault(pair[1], pair)
    matched, soft = [BACKGROUND] * len(boxes), [0.0] * len(boxes)
    for number, prior, t, _ in owner.values():
        own = [pair for pair in owner.values() if pair[0] == number]
        matched[prior] = number
        soft[prior] = t / max(pair[2] for pair in own) * max(pair[3] for pair in own)
    return matched, soft


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_rule_of_the_paper(seed):
    priors, target = points(), random_objects(6, seed)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(len(priors.boxes), generator=generator)
    noise = torch.randn(len(priors.boxes), 4, generator=generator) * 6
    boxes = target.boxes[torch.arange(len(priors.boxes)) % 6] + noise
    boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + 4)
    found = assign(priors, scores.tolist(), boxes.tolist(), target, **AS_IN_THE_PAPER)
    matched, soft = rule_of_the_paper(priors, scores.tolist(), boxes.tolist(), target, topk=13)
    assert sum(number >= 0 for number in matched) > 20
    assert found.matched.tolist() == matched
    positive = found.matched >= 0
    assert_close(found.scores[positive], torch.tensor(soft)[positive], rtol=1e-4, atol=1e-6)


def test_many_objects_are_compared_in_parts_with_the_same_result(monkeypatch):
    priors, target = points(), random_objects(20, 0, step=16)
    count = len(priors.boxes)
    boxes = target.boxes[torch.arange(count) % 20].tolist()
    whole = assign(priors, [0.5] * count, boxes, target)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 3 * count)
    parts = assign(priors, [0.5] * count, boxes, target)
    assert torch.equal(parts.matched, whole.matched)
    assert torch.equal(parts.scores, whole.scores)
