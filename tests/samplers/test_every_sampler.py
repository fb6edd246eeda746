"""Contract of every registered sampler."""

import pytest
import torch
from contract_cases import builtin, each_promise

from detkit import registry
from detkit.structures import BACKGROUND


@each_promise("sampler")
def test_a_sampler_keeps_its_contract(case):
    case()


@pytest.mark.parametrize("name", builtin("sampler"))
def test_a_few_priors_all_count(name):
    matched = torch.tensor([[0, BACKGROUND, BACKGROUND, 1]])
    assert registry.get("sampler", name)()(matched, torch.rand(1, 4)).all()
