"""Puts this folder on the path of the tests below it."""

import pytest
import torch
import torch.distributed
from torch.distributed.device_mesh import init_device_mesh


@pytest.fixture
def one_rank():
    """The mesh of a process group with this process alone."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()
