"""Fixtures that several packages' tests share."""

from pathlib import Path

import pytest

BCCD = Path(__file__).parents[2] / "shared" / "data" / "bccd"


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The folder of the BCCD photographs (Pascal VOC)."""
    if not BCCD.is_dir():
        pytest.skip(f"the BCCD photographs are not at {BCCD}")
    return BCCD
