"""What holds for every registered post-processor."""

import pytest
import torch
from torch.testing import assert_close

from detkit import registry


@pytest.fixture(params=registry.names("postprocess"))
def postprocess(request):
    return registry.get("postprocess", request.param)()


def candidates(count):
    generator = torch.Generator().manual_seed(0)
    corner, sides = torch.rand(2, count, 2, generator=generator)
    boxes = torch.cat([corner * 50, corner * 50 + 5 + sides * 30], dim=1)
    scores = torch.rand(count, generator=generator)
    return boxes, scores, torch.arange(count) % 3


def test_the_head_can_read_its_limits(postprocess):
    assert 0 <= postprocess.score_threshold < 1
    assert postprocess.max_candidates > 0


def test_the_best_come_first(postprocess):
    found = postprocess(*candidates(40))
    assert 0 < len(found.scores) <= 40
    assert found.boxes.shape == (len(found.scores), 4)
    assert (found.scores.diff() <= 0).all()
    assert set(found.labels.tolist()) <= {0, 1, 2}


def test_nothing_in_nothing_out(postprocess):
    found = postprocess(*candidates(0))
    assert [tuple(field.shape) for field in found] == [(0, 4), (0,), (0,)]
    assert found.labels.dtype == torch.int64


def test_one_candidate_stays_as_it_is(postprocess):
    boxes, scores, labels = candidates(1)
    found = postprocess(boxes, scores, labels)
    assert_close(found.boxes, boxes)
    assert torch.equal(found.scores, scores)
    assert torch.equal(found.labels, labels)


def test_no_more_detections_than_asked_for(postprocess):
    boxes, scores, _ = candidates(3000)
    labels = torch.arange(3000) % 80
    found = postprocess(boxes * 20, scores.clamp(min=0.1), labels)
    assert len(found.scores) == postprocess.max_detections
    assert (found.scores.diff() <= 0).all()


def test_many_equal_candidates(postprocess):
    box = torch.tensor([[3.0, 4.0, 13.0, 24.0]])
    found = postprocess(box.repeat(50, 1), torch.full((50,), 0.5), torch.zeros(50).long())
    assert found.scores[0] == 0.5
    assert_close(found.boxes, box.expand(len(found.boxes), 4))


def test_candidates_without_area(postprocess):
    boxes = torch.tensor([[3.0, 4.0, 3.0, 4.0], [3.0, 4.0, 3.0, 9.0], [3.0, 4.0, 3.0, 4.0]])
    found = postprocess(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long())
    assert found.scores[0] == 0.9
    assert all(field.isfinite().all() for field in found)


def test_the_order_of_candidates_does_not_matter(postprocess):
    boxes, scores, labels = candidates(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    shuffled = postprocess(boxes[order], scores[order], labels[order])
    assert_close(shuffled, postprocess(boxes, scores, labels))


def test_candidates_stay_as_they_are(postprocess):
    inputs = candidates(30)
    before = [value.clone() for value in inputs]
    postprocess(*inputs)
    assert all(map(torch.equal, inputs, before))
