"""What holds for every registered kind of priors."""

import pytest
import torch
from torch import nn

from detkit import registry
from detkit.priors import grid

CPU = torch.device("cpu")
SIZES = [(4, 5), (2, 3), (1, 2), (1, 1), (1, 1)]


@pytest.fixture(params=registry.names("priors"))
def priors(request, feature_specs):
    return registry.get("priors", request.param)(feature_specs=feature_specs)


def test_types_and_counts(priors):
    found = priors(SIZES, CPU)
    count = sum(h * w * n for (h, w), n in zip(SIZES, priors.per_cell, strict=True))
    assert [tuple(field.shape) for field in found] == [(count, 4), (count,), (count,)]
    assert [field.dtype for field in found] == [torch.float32, torch.float32, torch.int64]
    assert (found.level.diff() >= 0).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


def test_the_same_sizes_are_made_once(priors):
    first = priors(SIZES, CPU)
    assert priors([list(size) for size in SIZES], CPU).boxes is first.boxes
    assert len(priors([(1, 1)] * 5, CPU).boxes) < len(first.boxes)


def test_few_sizes_are_kept_and_the_latest_used_stay(priors):
    first = priors(SIZES, CPU)
    for side in range(2, 2 + grid._KEPT - 1):
        priors([(side, side)] * 5, CPU)
    assert priors(SIZES, CPU).boxes is first.boxes
    priors([(50, 1)] * 5, CPU)
    assert priors(SIZES, CPU).boxes is first.boxes
    assert len(priors._cache) == grid._KEPT


def test_priors_made_while_predicting_serve_in_training(priors):
    with torch.inference_mode():
        boxes = priors(SIZES, CPU).boxes
    weight = torch.ones(1, requires_grad=True)
    (boxes * weight).sum().backward()
    assert weight.grad is not None


def test_priors_are_not_in_a_state_dict(priors):
    head = nn.Module()
    head.priors = priors
    priors(SIZES, CPU)
    assert head.state_dict() == {}
