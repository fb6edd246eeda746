"""A finished run, shared by the tests of commands that need a checkpoint."""

import os
from pathlib import Path

import pytest
from tiny_run import TINY

from detkit.cli.main import main


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
