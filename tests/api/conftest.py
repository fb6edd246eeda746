"""A detector of the tiny run."""

import pytest
from tiny_run import GUESSES

import detkit


@pytest.fixture(scope="session")
def detector(tiny_run: detkit.Run) -> detkit.Detector:
    return detkit.load(tiny_run.folder, device="cpu", overrides=GUESSES)
