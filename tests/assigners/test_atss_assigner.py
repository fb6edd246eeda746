import math
from statistics import mean, stdev

import pytest
import torch
from assigner_scenes import CPU, anchors, assign, objects, random_objects

from detkit.assigners import ATSSAssigner
from detkit.ops import chunks
from detkit.priors import Anchors
from detkit.structures import BACKGROUND, FeatureSpec, Priors


def matched(priors, target, topk=9):
    return assign(ATSSAssigner(topk=topk), priors, target).matched


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def algorithm_of_the_paper(priors, target, topk):
    """Lines 1 to 15 of algorithm 1, object by object, in Python's own numbers."""
    boxes, levels = priors.boxes.tolist(), priors.level.tolist()
    best, owner = [0.0] * len(boxes), [BACKGROUND] * len(boxes)
    for number, box in enumerate(target.boxes.tolist()):
        candidates = []
        for level in sorted(set(levels)):
            members = [i for i in range(len(boxes)) if levels[i] == level]
            members.sort(key=lambda i: math.dist(centre(boxes[i]), centre(box)))
            candidates += members[:topk]
        overlaps = {i: overlap(boxes[i], box) for i in candidates}
        threshold = mean(overlaps.values()) + stdev(overlaps.values())
        for i, value in overlaps.items():
            x, y = centre(boxes[i])
            inside = box[0] < x < box[2] and box[1] < y < box[3]
            if inside and value >= threshold and value > best[i]:
                best[i], owner[i] = value, number
    return owner


@pytest.mark.parametrize("topk", [4, 9])
@pytest.mark.parametrize(("octaves", "ratios"), [(1, (1.0,)), (2, (0.6, 1.3))])
def test_equals_the_algorithm_of_the_paper(topk, octaves, ratios):
    # Every prior is moved by its own fraction of a pixel: no distance and no overlap occurs twice.
    priors = anchors(scale=3.0, octaves=octaves, ratios=ratios)
    shifts = torch.rand(len(priors.boxes), 2, generator=torch.Generator().manual_seed(0))
    priors = priors._replace(boxes=priors.boxes + shifts.repeat(1, 2))
    for seed in range(3):
        target = random_objects(6, seed)
        expected = algorithm_of_the_paper(priors, target, topk)
        assert sum(owner >= 0 for owner in expected) > 3
        assert matched(priors, target, topk).tolist() == expected


def test_by_hand():
    # Priors 10 x 10 around x = 0, 5, 10: with the object they have IoU 1, 1/3 and 0; mean 4/9,
    # deviation 0.51. Only the first is above their sum.
    boxes = torch.tensor([[x - 5.0, -5.0, x + 5.0, 5.0] for x in (0, 5, 10)])
    priors = Priors(boxes, torch.full((3,), 10.0), torch.zeros(3).long())
    assert matched(priors, objects([-5.0, -5.0, 5.0, 5.0])).tolist() == [0, -1, -1]


def test_the_centre_must_lie_a_hundredth_of_a_pixel_inside():
    priors = Priors(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([8.0]), torch.tensor([0]))
    assert matched(priors, objects([3.98, 0.0, 12.0, 8.0])).tolist() == [0]
    assert matched(priors, objects([3.995, 0.0, 12.0, 8.0])).tolist() == [BACKGROUND]


def test_a_prior_that_two_objects_claim_goes_to_the_higher_iou():
    priors = Priors(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([8.0]), torch.tensor([0]))
    worse, better = [0.0, 0.0, 8.0, 12.0], [0.0, 0.0, 8.0, 9.0]
    assert matched(priors, objects(worse, better)).tolist() == [1]
    assert matched(priors, objects(better, worse)).tolist() == [0]


def test_distances_are_exact_far_from_the_origin():
    # 5,000 pixels away the matrix product inside `cdist` errs by more than the centres differ.
    cells = Anchors(feature_specs=[FeatureSpec(1, 1)], scale=8.0, octaves=1, ratios=(1.0,))
    priors = cells([(12, 12)], CPU)
    shifted = priors._replace(boxes=priors.boxes + 5000)
    box = torch.tensor([1.1, 2.2, 9.4, 10.3])
    expected = matched(priors, objects(box.tolist()), topk=5)
    assert (expected >= 0).any()
    assert torch.equal(matched(shifted, objects((box + 5000).tolist()), topk=5), expected)


def test_many_objects_are_compared_in_parts_with_the_same_result(monkeypatch):
    priors = anchors(scale=4.0, octaves=1, ratios=(1.0,))
    target = random_objects(20, 0, step=16)
    whole = matched(priors, target)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 3 * len(priors.boxes))
    assert torch.equal(matched(priors, target), whole)
    assert (whole == BACKGROUND).any()
