from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bccd():
    folder = Path(__file__).parents[3] / "shared" / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("the BCCD photographs are not beside the repository")
    return folder
