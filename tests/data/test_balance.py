"""Samplings for long tails, worked out by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from contract_cases import each_promise
from torch import distributed

from detkit.data.balance import ClassBalanced, RepeatFactor, class_weights, image_classes
from detkit.data.sampling import TrainingBatches
from detkit.registry import get, names
from detkit.structures import DatasetIndex


def index_of(*images, ignored=()):
    """An index of images given as the labels of their objects; `ignored` are rows of objects."""
    labels = np.array([label for image in images for label in image], dtype=np.int64)
    names_of_files = [f"{number}.jpg".encode() for number in range(len(images))]
    return DatasetIndex(
        root=Path("."),
        class_names=["common", "rare", "absent"],
        category_ids=[1, 2, 3],
        file_names=b"".join(names_of_files),
        file_offsets=np.cumsum([0, *map(len, names_of_files)]),
        image_ids=np.arange(len(images)),
        sizes=np.full((len(images), 2), 10, dtype=np.int32),
        object_offsets=np.cumsum([0, *map(len, images)]),
        boxes=np.tile(np.array([0, 0, 5, 5], dtype=np.float32), (len(labels), 1)),
        labels=labels,
        ignored=np.isin(np.arange(len(labels)), ignored),
        areas=np.full(len(labels), np.nan, dtype=np.float32),
    )


@each_promise("sampling")
def test_a_sampling_keeps_its_contract(case):
    case()


# 7 images with a common object, one of them with a rare one too, and one image without objects
LONG_TAIL = index_of([0, 0], [0], [0], [0], [0], [0], [0, 1], [])


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


def test_images_count_once_per_class():
    found = image_classes(LONG_TAIL)
    assert found.counts.tolist() == [7, 1, 0]
    assert len(found.images) == 8
    assert image_classes(index_of([1], [1, 1], ignored=(0,))).counts.tolist() == [0, 1, 0]


def test_repeat_factors_by_hand():
    # f(rare) = 1/8, so r = sqrt(0.5 / 0.125) = 2; f(common) = 7/8 is above the threshold
    assert RepeatFactor(threshold=0.5)(LONG_TAIL).tolist() == [1, 1, 1, 1, 1, 1, 2, 1]
    shares = RepeatFactor(threshold=1.0)(LONG_TAIL)
    assert shares[0] == pytest.approx((8 / 7) ** 0.5)
    assert shares[6] == pytest.approx(8**0.5)
    assert shares[7] == 1
    assert RepeatFactor()(LONG_TAIL).tolist() == [1] * 8


def test_class_balance_by_hand():
    shares = ClassBalanced()(LONG_TAIL)
    # 7 images with objects; a half of the draws is of the rare class, all of image 6
    assert shares[:6].tolist() == pytest.approx([7 / 2 / 7] * 6)
    assert shares[6] == pytest.approx(7 / 2 / 7 + 7 / 2)
    assert shares[7] == 1
    assert shares.sum() == pytest.approx(8)
    assert ClassBalanced(largest=2.0)(LONG_TAIL)[6] == 2


@pytest.mark.parametrize("name", names("sampling"))
def test_every_sampling_takes_data_without_objects(name):  # pain 14
    shares = get("sampling", name)()(index_of([], [], []))
    assert shares.tolist() == [1, 1, 1]
    assert get("sampling", name)()(index_of()).shape == (0,)


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
def test_an_interrupted_epoch_with_repeats_goes_on_with_what_is_left():
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


def test_class_weights_have_a_mean_of_one_over_objects():
    counts = np.array([90, 10, 0])
    equal = class_weights(counts, 1.0)
    assert equal.tolist() == pytest.approx([100 / 180, 5, 1])
    assert (class_weights(counts, 0.5) * counts).sum() == pytest.approx(100)
    assert class_weights(counts, 0.5)[1] / class_weights(counts, 0.5)[0] == pytest.approx(3)
    assert class_weights(counts, 0.0).tolist() == [1, 1, 1]
    assert class_weights(np.zeros(2, dtype=np.int64), 0.5).tolist() == [1, 1]
