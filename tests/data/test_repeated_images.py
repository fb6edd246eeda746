"""Batches of an epoch that repeats images by their shares."""

from collections import Counter

import numpy as np
import pytest
from torch import distributed

from detkit.data.batch_order import TrainingBatches


def keys(batches):
    return [key for batch in batches for key in batch]


@pytest.fixture
def ranks(monkeypatch):
    def run(world, make):
        results = []
        for rank in range(world):
            monkeypatch.setattr(distributed, "is_initialized", lambda: True)
            monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
            monkeypatch.setattr(distributed, "get_world_size", lambda: world)
            results.append(make())
        return results

    return run


def test_an_epoch_repeats_by_the_shares():
    shares = np.array([2.0, 1.0, 0.5, 0.5])
    batches = TrainingBatches(4, batch_size=2, seed=0, shares=shares)
    assert len(batches) == 2
    seen = Counter()
    for epoch in range(400):
        batches.set_epoch(epoch)
        found = keys(batches)
        positions = Counter(key.position for key in found)
        assert positions[0] == 2
        assert positions[1] == 1
        assert sorted(key.repeat for key in found if key.position == 0) == [0, 1]
        seen += positions
    assert seen[2] + seen[3] == 400
    assert 150 < seen[2] < 250


def test_all_epochs_are_equally_long_whatever_the_shares():
    shares = np.random.default_rng(0).uniform(0.2, 3.0, 37)
    batches = TrainingBatches(37, batch_size=1, seed=0, shares=shares)
    lengths = set()
    for epoch in range(30):
        batches.set_epoch(epoch)
        lengths.add(len(keys(batches)))
    assert lengths == {len(batches)} == {int(shares.sum())}


def test_the_draw_of_an_epoch_follows_from_seed_and_epoch():
    shares = np.full(9, 1.5)
    first, second, other = (
        TrainingBatches(9, batch_size=2, seed=s, shares=shares) for s in (0, 0, 1)
    )
    assert list(first) == list(second)
    assert list(first) != list(other)
    second.set_epoch(1)
    assert list(first) != list(second)


def test_ranks_partition_an_epoch_with_repeats(ranks):
    shares = np.array([1.0, 3.0, 1.5, 0.5, 1.0, 1.0, 2.0])
    alone = list(TrainingBatches(7, batch_size=4, seed=0, shares=shares))
    parts = ranks(2, lambda: list(TrainingBatches(7, batch_size=2, seed=0, shares=shares)))
    assert [a + b for a, b in zip(*parts, strict=True)] == alone
    pairs = [(key.position, key.repeat) for key in keys(alone)]
    assert len(set(pairs)) == len(pairs) == 8


# pain 18
def test_an_interrupted_epoch_with_repeats_resumes_with_the_remaining_images():
    shares = np.linspace(0.5, 2.5, 20)
    whole = TrainingBatches(20, batch_size=4, seed=1, shares=shares)
    whole.set_epoch(3)
    rest = TrainingBatches(20, batch_size=4, seed=1, shares=shares, skip=(3, 2))
    assert list(rest) == list(whole)[2:]


def test_scales_change_every_few_steps():
    batches = TrainingBatches(80, batch_size=2, seed=0, scales=[0.5, 1.0, 2.0], scale_every=5)
    scales = [batch[0].scale for batch in batches]
    runs = [set(scales[start : start + 5]) for start in range(0, 40, 5)]
    assert all(len(run) == 1 for run in runs)
    assert len(set().union(*runs)) > 1
    rest = TrainingBatches(
        80, batch_size=2, seed=0, scales=[0.5, 1.0, 2.0], scale_every=5, skip=(0, 7)
    )
    assert [batch[0].scale for batch in rest] == scales[7:]
