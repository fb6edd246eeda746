"""A folder of pages and toy parts, to test composition without the real parts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toy_root import ToyRoot

from detkit import registry
from detkit.config import compose, folders, slots

HERE = Path(__file__).parent
MODEL = """\
name: toy_stage
backbone: {name: toy_net, frozen: 1}
neck: {name: toy_fpn, extra: p6p7}
head:
  name: toy_retina
  convs: 3
  classification_loss: {name: toy_focal, alpha: 0.3}
"""
ROOT = """\
defaults:
  - model: toy
  - block: small
  - _self_
  - experiment: null
title: page
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a page into a configuration folder that has a toy root, model and block."""
    registry.load_plugins([str(HERE / "toy_parts.py")])
    monkeypatch.setitem(slots.ROOTS, "toy", ToyRoot)
    monkeypatch.setattr(folders, "conf_folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)

    def write_page(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write_page("toy", ROOT)
    write_page("model/toy", MODEL)
    write_page("block/small", "path: here\n")
    (tmp_path / "experiment").mkdir()
    return write_page


@pytest.fixture
def composed(write: Callable[[str, str], Path]) -> Callable[..., dict]:
    """Compose the toy root with overrides."""
    return lambda *overrides: compose.compose("toy", list(overrides))
