"""Contract of every registered post-processor."""

import pytest
import torch
from contract_cases import each_promise
from torch.testing import assert_close

from detkit import registry


@each_promise("postprocess")
def test_a_post_processor_keeps_its_contract(case):
    case()


@pytest.fixture(params=registry.names("postprocess"))
def postprocess(request):
    return registry.get("postprocess", request.param)()


def candidates(count):
    generator = torch.Generator().manual_seed(0)
    corner, sides = torch.rand(2, count, 2, generator=generator)
    boxes = torch.cat([corner * 50, corner * 50 + 5 + sides * 30], dim=1)
    scores = torch.rand(count, generator=generator)
    return boxes, scores, torch.arange(count) % 3


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
