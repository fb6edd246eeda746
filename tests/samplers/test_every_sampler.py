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
