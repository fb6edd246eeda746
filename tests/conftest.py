"""Fixtures that several packages' tests share."""

import signal
from pathlib import Path

import pytest

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
