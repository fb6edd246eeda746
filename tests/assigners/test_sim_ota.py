import math

import pytest
import torch
from assigner_scenes import assign, objects, points, priors_from, random_objects

from detkit.assigners import SimOTAAssigner
from detkit.ops import chunks
from detkit.structures import BACKGROUND, Target

# Points at 4, 12, 20 and 28, all at height 4.
FOUR = priors_from(*([8.0 * i, 0.0, 8.0 * i + 8, 8.0] for i in range(4)))


def matched(priors, scores, boxes, target, **values):
    scores = torch.tensor(scores, dtype=torch.float32)
    scores = scores[:, None] if scores.ndim == 1 else scores
    boxes = torch.tensor(boxes, dtype=torch.float32)
    found = assign(SimOTAAssigner(**values), priors, target, scores, boxes)
    assert found.scores is None
    return found.matched.tolist()


def wide(*lengths):
    """Boxes from the left upper corner, as long as given: their IoUs are shares of lengths."""
    return [[0.0, 0.0, length, 8.0] for length in lengths]


def test_an_object_takes_as_many_priors_as_its_ious_sum_to():
    target = objects(*wide(32))
    # IoUs 1/2, 3/4, 5/8 and 1/4 sum to 2.125: the best two of equal scores.
    assert matched(FOUR, [0.5] * 4, wide(16, 24, 20, 8), target) == [-1, 0, 0, -1]
    # 1/2, 3/4, 5/8 and 1 sum to 2.875, still two.
    assert matched(FOUR, [0.5] * 4, wide(16, 24, 20, 32), target) == [-1, 0, -1, 0]
    # The two highest alone sum to 1.75.
    assert matched(FOUR, [0.5] * 4, wide(16, 24, 20, 32), target, topk=2) == [-1, -1, -1, 0]


def test_an_object_that_nothing_overlaps_takes_one():
    # All cost the same but for the score.
    nothing = wide(0, 0, 0, 0)
    assert matched(FOUR, [0.1, 0.1, 0.3, 0.1], nothing, objects(*wide(32))) == [-1, -1, 0, -1]
    assert matched(FOUR, [0.1] * 4, nothing, objects(*wide(32))) == [0, -1, -1, -1]


def test_cost_is_cross_entropy_of_all_classes_and_three_times_the_logarithm_of_iou():
    # The object is of the first class. Costs of scores: -ln 0.8 - ln 0.9 = 0.329 and -ln 0.9 -
    # ln 0.5 = 0.799; of IoUs 1/2 and 7/12: 3 * 0.693 and 3 * 0.539, which is 0.462 less; 0.329 +
    # 2.079 = 2.408 and 0.799 + 1.617 = 2.416. With four times the logarithm the second is cheaper.
    target, boxes = objects(*wide(24)), wide(12, 14, 0, 0)
    scores = [[0.8, 0.1], [0.9, 0.5], [0.01, 0.9], [0.01, 0.9]]
    assert matched(FOUR, scores, boxes, target) == [0, -1, -1, -1]
    assert matched(FOUR, scores, boxes, target, overlap_cost=4.0) == [-1, 0, -1, -1]
    # Without the second class the second is cheaper: -ln 0.9 + 1.617 against -ln 0.8 + 2.079.
    assert matched(FOUR, [0.8, 0.9, 0.01, 0.01], boxes, target) == [-1, 0, -1, -1]


def test_the_score_is_that_of_the_class_of_the_object():
    target = Target(torch.tensor(wide(32)), torch.tensor([1]), torch.tensor([False]))
    scores = [[0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.9, 0.1]]
    assert matched(FOUR, scores, wide(8, 8, 8, 8), target) == [-1, 0, -1, -1]


def test_priors_inside_and_near_come_before_all_others():
    # Half a stride around 10 is near for 12 only; 4 is inside too, and costs less.
    target = objects([0.0, 0.0, 20.0, 8.0])
    boxes, scores = wide(20, 10, 0, 0), [0.9, 0.5, 0.9, 0.9]
    assert matched(FOUR, scores, boxes, target, centre_radius=0.5) == [-1, 0, -1, -1]
    assert matched(FOUR, scores, boxes, target) == [0, -1, -1, -1]


def test_priors_neither_inside_nor_near_are_left_out():
    # IoUs sum to 4, but of the four priors only the first is inside or near.
    target = objects(*wide(8))
    boxes = wide(8, 8, 8, 8)
    assert matched(FOUR, [0.5] * 4, boxes, target, centre_radius=1.0) == [0, -1, -1, -1]
    # Within 1.5 strides the second is near too, and has its IoU.
    assert matched(FOUR, [0.5] * 4, boxes, target, centre_radius=1.5) == [0, 0, -1, -1]


def test_a_prior_that_two_objects_want_goes_to_the_cheaper_and_the_first_of_equals():
    small, large = wide(14, 24)
    boxes = wide(24, 16, 30, 0)
    # Of the small object: IoUs 14/24, 14/16, 14/30, so k = 1 and its best is the second prior. Of
    # the large one: 1, 16/24, 24/30, so k = 2; the first and the third.
    assert matched(FOUR, [0.5] * 4, boxes, objects(small, large)) == [1, 0, 1, -1]
    # Two equal objects want the same.
    assert matched(FOUR, [0.5] * 4, boxes, objects(large, large)) == [0, -1, 0, -1]
    # Of three the middle one has the lowest cost.
    target = objects(*wide(14, 16, 20))
    assert matched(FOUR, [0.1, 0.9, 0.1, 0.1], wide(0, 16, 0, 0), target) == [-1, 1, -1, -1]


def test_an_object_smaller_than_a_cell_takes_its_cheapest_prior_nearby():
    tiny = objects([7.0, 7.0, 9.0, 9.0])
    priors = points()
    count = len(priors.boxes)
    boxes = torch.zeros(count, 4)
    boxes[21] = torch.tensor([7.0, 7.0, 9.0, 10.0])
    found = matched(priors, [0.5] * count, boxes.tolist(), tiny)
    # Only the centre of the cell at 8, 8 of the second level is inside.
    assert [i for i, number in enumerate(found) if number == 0] == [16 * 20]
    away = objects([6.0, 6.0, 7.0, 7.0])  # no centre is inside; the best box decides
    boxes[21] = torch.tensor([6.0, 6.0, 7.0, 7.5])
    found = matched(priors, [0.5] * count, boxes.tolist(), away)
    assert [i for i, number in enumerate(found) if number == 0] == [21]


def test_more_objects_than_priors():
    target = objects(*wide(*range(10, 40)))
    found = matched(FOUR, [0.5] * 4, wide(12, 20, 30, 33), target)
    assert found == [2, 10, 20, 23]  # of each the one that it fits


def test_without_objects():
    assert matched(FOUR, [0.5] * 4, wide(1, 1, 1, 1), objects()) == [BACKGROUND] * 4


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_scores_of_nothing_and_everything_have_a_finite_cost(value):
    found = matched(FOUR, [[value, 0.5]] * 4, wide(30, 32, 30, 0), objects(*wide(32)))
    assert found == [0, 0, -1, -1]


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def rule_of_the_paper(priors, scores, boxes, target):
    """Object by object, in Python's own numbers."""
    wanted = []  # object, prior, cost
    strides = priors.stride.tolist()
    for number, box in enumerate(target.boxes.tolist()):
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        rows = []
        for prior, (x1, y1, x2, y2) in enumerate(priors.boxes.tolist()):
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            inside = box[0] < x < box[2] and box[1] < y < box[3]
            near = max(abs(x - middle[0]), abs(y - middle[1])) < 2.5 * strides[prior]
            u = overlap(boxes[prior], box)
            cost = -math.log(scores[prior]) - 3 * math.log(u + 1e-8)
            if inside or near:
                rows.append((number, prior, cost + 1e4 * (not (inside and near)), u))
        taken = max(1, int(sum(sorted((row[3] for row in rows), reverse=True)[:10])))
        wanted += sorted(rows, key=lambda row: row[2])[:taken]
    owner = {}
    for number, prior, *_ in sorted(wanted, key=lambda row: row[2]):
        owner.setdefault(prior, number)
    return [owner.get(prior, BACKGROUND) for prior in range(len(boxes))]


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_rule_of_the_paper(seed):
    priors, target = points(), random_objects(6, seed)
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.rand(len(priors.boxes), generator=generator) * 0.98 + 0.01).tolist()
    noise = torch.randn(len(priors.boxes), 4, generator=generator) * 6
    boxes = target.boxes[torch.arange(len(priors.boxes)) % 6] + noise
    boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + 4)
    expected = rule_of_the_paper(priors, scores, boxes.tolist(), target)
    assert sum(number >= 0 for number in expected) > 15
    assert matched(priors, scores, boxes.tolist(), target) == expected


def test_many_objects_are_compared_in_parts_with_the_same_result(monkeypatch):
    priors, target = points(), random_objects(20, 0, step=16)
    count = len(priors.boxes)
    boxes = target.boxes[torch.arange(count) % 20].tolist()
    whole = matched(priors, [0.5] * count, boxes, target)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 3 * count)
    assert matched(priors, [0.5] * count, boxes, target) == whole
