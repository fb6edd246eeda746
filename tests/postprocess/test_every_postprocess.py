"""What holds for every registered post-processor."""

import pytest
import torch

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
