"""What holds for every registered sampler."""

import pytest
import torch

from detkit import registry
from detkit.structures import BACKGROUND, IGNORED


@pytest.mark.parametrize("name", registry.names("sampler"))
def test_ignored_priors_never_count(name):
    matched = torch.tensor([[0, IGNORED, BACKGROUND], [IGNORED, IGNORED, IGNORED]])
    mask = registry.get("sampler", name)()(matched, torch.ones(2, 3))
    assert mask.dtype == torch.bool
    assert mask.shape == (2, 3)
    assert not mask[matched == IGNORED].any()


@pytest.mark.parametrize("name", registry.names("sampler"))
def test_heads_know_what_it_ranks_by(name):
    assert registry.get("sampler", name)().ranks_by in ("nothing", "losses", "overlaps")


@pytest.mark.parametrize("name", registry.names("sampler"))
def test_a_few_priors_all_count(name):
    matched = torch.tensor([[0, BACKGROUND, BACKGROUND, 1]])
    assert registry.get("sampler", name)()(matched, torch.rand(1, 4)).all()


@pytest.mark.parametrize("name", registry.names("sampler"))
def test_images_without_priors(name):
    nothing = torch.zeros(2, 0)
    assert registry.get("sampler", name)()(nothing.long(), nothing).shape == (2, 0)
