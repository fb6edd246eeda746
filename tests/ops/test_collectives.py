import pytest
import torch
import torch.distributed
import torch.multiprocessing

from detkit.ops import mean_over_ranks


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
