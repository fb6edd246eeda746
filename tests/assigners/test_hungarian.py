"""The matching with the lowest total cost, compared with all permutations."""

import itertools

import torch

from detkit.assigners.hungarian import HungarianAssigner
from detkit.structures import PaddedTargets, Priors, Target

SIZE = torch.tensor([0.0, 0, 100, 100])


def target(*boxes):
    table = torch.tensor(boxes).reshape(-1, 4)
    labels = torch.arange(len(table)) % 2
    return Target(table, labels, torch.zeros(len(table), dtype=torch.bool))


def assign(assigner, scores, boxes, *targets):
    images, queries = scores.shape[:2]
    whole = SIZE.expand(images, queries, 4)
    priors = Priors(whole, torch.ones(images, queries), torch.zeros(images, queries).long())
    return assigner(priors, scores, boxes, PaddedTargets.of(targets)).matched


def predictions(images, queries):
    random = torch.Generator().manual_seed(1)
    corners = 50 * torch.rand(images, queries, 2, generator=random)
    sides = 5 + 40 * torch.rand(images, queries, 2, generator=random)
    scores = torch.rand(images, queries, 2, generator=random)
    return scores, torch.cat([corners, corners + sides], dim=-1)


OBJECTS = target([5.0, 5, 30, 40], [20.0, 20, 60, 50], [50.0, 40, 90, 95])


def test_the_total_cost_is_the_lowest_of_all_permutations():
    scores, boxes = predictions(1, 5)
    assigner = HungarianAssigner(overlap_cost=0.0)
    matched = assign(assigner, scores, boxes, OBJECTS)[0].tolist()

    def total(queries):
        costs = 0.0
        for number, query in enumerate(queries):
            low, high = boxes[0, query].split(2)
            first, second = OBJECTS.boxes[number].split(2)
            distance = ((low + high) / 2 - (first + second) / 2).abs().sum()
            distance += ((high - low) - (second - first)).abs().sum()
            costs += 5 * distance / 100 - scores[0, query, OBJECTS.labels[number]]
        return float(costs)

    best = min(itertools.permutations(range(5), 3), key=total)
    assert [matched.index(number) for number in range(3)] == list(best)


def test_overlap_alone_takes_the_box_that_fits():
    scores, boxes = predictions(1, 5)
    boxes[0, 3] = OBJECTS.boxes[1]
    assigner = HungarianAssigner(class_cost=0.0, code_cost=0.0)
    assert assign(assigner, scores, boxes, OBJECTS)[0, 3] == 1


def test_images_of_a_batch_are_matched_alone():
    scores, boxes = predictions(2, 5)
    targets = (OBJECTS, target([1.0, 1, 9, 9]))
    together = assign(HungarianAssigner(), scores, boxes, *targets)
    for image, objects in enumerate(targets):
        alone = assign(HungarianAssigner(), scores[[image]], boxes[[image]], objects)
        assert torch.equal(alone[0], together[image])


def test_with_more_objects_than_queries_each_query_takes_one():
    scores, boxes = predictions(1, 2)
    assert (assign(HungarianAssigner(), scores, boxes, OBJECTS) >= 0).all()


def test_one_warning_says_that_there_are_too_few_queries(caplog):
    scores, boxes = predictions(1, 2)
    assigner = HungarianAssigner()
    for _ in range(2):
        assign(assigner, scores, boxes, OBJECTS)
    assert caplog.text.count("an image has 3 objects but only 2 predictions") == 1


def test_costs_that_are_not_finite_still_give_a_matching():
    scores, boxes = predictions(1, 4)
    matched = assign(HungarianAssigner(), scores * torch.nan, boxes, OBJECTS)
    assert int((matched >= 0).sum()) == 3
