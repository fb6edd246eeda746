"""One tiny training that the tests of this folder read."""

import os
from pathlib import Path

import pytest
from tiny_run import TINY

import detkit


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> detkit.Run:
    """A run of one epoch that `detkit.train` wrote."""
    folder = tmp_path_factory.mktemp("api")
    before = Path.cwd()
    os.chdir(folder)
    try:
        words = [*TINY, "data=shapes", "run_folder=runs/tiny", "trainer.max_epochs=1"]
        run = detkit.train(words)
        return detkit.Run(run.folder.resolve())
    finally:
        os.chdir(before)
