"""Puts this folder, with `training_fakes`, on the path of the tests below it."""

import logging

import pytest
import torch
import torch.distributed
from torch.distributed.device_mesh import init_device_mesh


@pytest.fixture(autouse=True)
def _levels_as_before():
    """Undo what a trainer does to Lightning's log levels."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def _messages_as_before(monkeypatch):
    """Undo what a command that ran in this process has done to detkit's messages."""
    logger = logging.getLogger("detkit")
    monkeypatch.setattr(logger, "handlers", [])
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield
    logger.setLevel(before)


@pytest.fixture
def one_rank():
    """The mesh of a process group that this process makes up alone."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()
