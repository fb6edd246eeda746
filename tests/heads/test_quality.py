import pytest
import torch
import torch.distributed
import torch.multiprocessing

from detkit.heads.quality import centreness, mean_over_ranks


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 20, 20], 1.0),  # the prior's centre, (10, 10), is the middle
        ([8, 5, 18, 15], 0.5),  # left 2, right 8, top 5, bottom 5: the root of 1/4
        ([8, 8, 18, 18], 0.25),
        ([10, 0, 20, 20], 0.0),  # on the border
        ([12, 0, 20, 20], 0.0),  # outside
        ([12, 12, 20, 20], 0.0),  # outside on both axes: two negative ratios are not a positive
        ([10, 10, 10, 10], 0.0),  # without area
    ],
)
def test_centreness(box, expected):
    prior = torch.tensor([[6.0, 6, 14, 14]])
    assert centreness(prior, torch.tensor([box]).float()).item() == pytest.approx(expected)


def test_centreness_of_nothing():
    assert centreness(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


def test_without_ranks_the_mean_is_the_value():
    assert mean_over_ranks(torch.tensor(3.0)) == 3


def _check_mean(rank, store):
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    value = torch.tensor([4.0, 0.0]) * rank  # one rank has no positives
    mean = mean_over_ranks(value)
    torch.distributed.destroy_process_group()
    assert mean.tolist() == [2, 0]
    assert value.tolist() == [4 * rank, 0]


@pytest.mark.slow
def test_ranks_average(tmp_path):
    store = f"file://{tmp_path}/store"
    torch.multiprocessing.spawn(_check_mean, args=(store,), nprocs=2)
