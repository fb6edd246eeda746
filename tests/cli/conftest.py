"""Shared by the tests of commands that train."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an empty PNG for each figure: drawing takes half of the time of a tiny run.

    The run of `trained` has real figures, and tests/visualization draws each kind.
    """

    def save(_: Figure, picture: Path, **__: Any) -> None:
        Image.new("RGB", (8, 8)).save(picture)

    monkeypatch.setattr(Figure, "savefig", save)
