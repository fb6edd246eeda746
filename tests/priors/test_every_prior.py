"""Contract of every registered kind of priors."""

import pytest
import torch
from contract_cases import each_promise
from torch import nn

from detkit import registry
from detkit.priors import grid

CPU = torch.device("cpu")
SIZES = [(4, 5), (2, 3), (1, 2), (1, 1), (1, 1)]


@each_promise("priors")
def test_priors_keep_their_contract(case):
    case()


@pytest.fixture(params=registry.names("priors"))
def priors(request, feature_specs):
    return registry.get("priors", request.param)(feature_specs=feature_specs)


def test_few_sizes_are_kept_and_the_latest_used_stay(priors):
    first = priors(SIZES, CPU)
    for side in range(2, 2 + grid._CACHE_SIZE - 1):
        priors([(side, side)] * 5, CPU)
    assert priors(SIZES, CPU).boxes is first.boxes
    priors([(50, 1)] * 5, CPU)
    assert priors(SIZES, CPU).boxes is first.boxes
    assert len(priors._cache) == grid._CACHE_SIZE


def test_priors_are_not_in_a_state_dict(priors):
    head = nn.Module()
    head.priors = priors
    priors(SIZES, CPU)
    assert head.state_dict() == {}
