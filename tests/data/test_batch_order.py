import pytest
from torch import distributed

from detkit.data.batch_order import EvaluationBatches, TrainingBatches


@pytest.fixture
def ranks(monkeypatch):
    """Runs a function once per rank of a pretended world."""

    def run(world, make):
        results = []
        for rank in range(world):
            monkeypatch.setattr(distributed, "is_initialized", lambda: True)
            monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
            monkeypatch.setattr(distributed, "get_world_size", lambda: world)
            results.append(make())
        return results

    return run


def positions(batches):
    return [[key.position for key in batch] for batch in batches]


def test_an_epoch_is_a_function_of_seed_and_epoch():
    first, second = (TrainingBatches(10, batch_size=3, seed=1) for _ in range(2))
    second.set_epoch(4)
    assert positions(first) != positions(second)
    second.set_epoch(0)
    assert positions(first) == positions(second)
    assert positions(first) != positions(TrainingBatches(10, batch_size=3, seed=2))


def test_training_leaves_out_an_incomplete_step_only():
    batches = positions(TrainingBatches(10, batch_size=3, seed=0))
    assert (
        [len(batch) for batch in batches]
        == [3, 3, 3]
        == [3] * len(TrainingBatches(10, batch_size=3, seed=0))
    )
    assert len({p for batch in batches for p in batch}) == 9


def test_fewer_images_than_a_batch_make_one_batch():
    batches = TrainingBatches(2, batch_size=8, seed=0)
    assert len(batches) == 1
    assert sorted(positions(batches)[0]) == [0, 1]


def test_ranks_share_the_batches_of_one_process(ranks):
    alone = positions(TrainingBatches(13, batch_size=6, seed=0))
    parts = ranks(3, lambda: positions(TrainingBatches(13, batch_size=2, seed=0)))
    assert [a + b + c for a, b, c in zip(*parts, strict=True)] == alone


def test_ranks_repeat_images_where_there_are_too_few(ranks):
    parts = ranks(4, lambda: positions(TrainingBatches(3, batch_size=2, seed=0)))
    assert [[len(batch) for batch in part] for part in parts] == [[1]] * 4
    assert {batch[0] for part in parts for batch in part} == {0, 1, 2}


def test_each_step_draws_one_scale_for_all_ranks(ranks):
    def scales():
        batches = TrainingBatches(80, batch_size=2, seed=0, scales=[0.5, 1.0, 2.0])
        return [{key.scale for key in batch} for batch in batches]

    first, second = ranks(2, scales)
    assert first == second
    assert all(len(step) == 1 for step in first)
    assert set().union(*first) == {0.5, 1.0, 2.0}


def test_keys_carry_the_epoch_and_lightning_can_set_it():
    batches = TrainingBatches(4, batch_size=2, seed=0)
    batches.sampler.set_epoch(7)  # what Lightning calls
    assert {key.epoch for batch in batches for key in batch} == {7}


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 12])
def test_evaluation_sees_all_images_in_equally_many_batches(ranks, world, count):  # pain 16
    def make():
        batches = EvaluationBatches(count, batch_size=2)
        return positions(batches), len(batches)

    parts = ranks(world, make)
    assert len({len(part) for part, _ in parts} | {length for _, length in parts}) == 1
    seen = [p for part, _ in parts for batch in part for p in batch]
    assert set(seen) == set(range(count))
    assert len(seen) - count < world


def test_evaluation_is_the_same_in_every_epoch():
    batches = EvaluationBatches(5, batch_size=2)
    first = list(batches)
    batches.set_epoch(3)
    assert list(batches) == first
    assert positions(first) == [[0, 1], [2, 3], [4]]


def test_interrupted_epoch_resumes_with_the_remaining_batches():
    whole = TrainingBatches(20, batch_size=4, seed=1, scales=[0.5, 1.0])
    whole.set_epoch(3)
    rest = TrainingBatches(20, batch_size=4, seed=1, scales=[0.5, 1.0], skip=(3, 2))
    assert list(rest) == list(whole)[2:]  # of epoch 3 before anybody sets it
    assert len(rest) == len(whole)
    rest.set_epoch(4)
    whole.set_epoch(4)
    assert list(rest) == list(whole)


def test_groups_are_those_of_the_order_whatever_batches_and_ranks_are(ranks):
    def groups(batch_size):
        batches = TrainingBatches(80, batch_size=batch_size, seed=0, grouped=True)
        return [(key.position, key.group) for batch in batches for key in batch]

    alone = groups(8)
    assert len(alone) == 80
    order = [position for position, _ in alone]
    assert [set(group) for _, group in alone[::32]] == [
        set(order[:32]),
        set(order[32:64]),
        set(order[48:]),
    ]
    assert all(position in group for position, group in alone)
    assert groups(2) == alone
    parts = ranks(4, lambda: groups(2))
    assert {key for part in parts for key in part} == set(alone)


def test_a_group_of_few_images_is_all_of_them():
    batches = TrainingBatches(5, batch_size=8, seed=0, grouped=True)
    (batch,) = batches
    assert all(sorted(key.group) == list(range(5)) for key in batch)
    assert not any(key.group for batch in TrainingBatches(5, batch_size=2, seed=0) for key in batch)
