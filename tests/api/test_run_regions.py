"""Proposals of a run."""

import torch

from detkit.api.run_regions import digest_of


def test_the_digest_changes_with_any_weight():
    weights = {"a": torch.ones(2, 2, dtype=torch.bfloat16), "count": torch.tensor(3)}
    digests = {digest_of(weights), digest_of({**weights, "count": torch.tensor(4)})}
    assert len(digests) == 2
    assert digest_of(dict(reversed(weights.items()))) in digests
