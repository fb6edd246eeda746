"""Rules for all adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

import detkit

ADAPTERS = sorted(Path(detkit.__file__).with_name("integrations").glob("*.py"))


@pytest.mark.parametrize("file", ADAPTERS, ids=lambda file: file.stem)
def test_an_adapter_has_at_most_60_lines(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60
