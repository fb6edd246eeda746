"""Fixtures that several packages' tests share."""

import logging
import os
import signal
from pathlib import Path

import pytest
from tiny_run import TINY

from detkit.cli.main import main

BCCD = Path(__file__).parents[2] / "shared" / "data" / "bccd"


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The folder of the BCCD photographs (Pascal VOC)."""
    if not BCCD.is_dir():
        pytest.skip(f"the BCCD photographs are not at {BCCD}")
    return BCCD


@pytest.fixture(scope="session", autouse=True)
def _hangup_is_not_ignored() -> None:
    """Undo `nohup` for the tests and the processes that they start."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with one finished run in `first`."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["train", *TINY, "run_folder=first"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def work(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained
