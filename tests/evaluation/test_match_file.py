"""Matches survive their file."""

import numpy as np
import pytest
from direct_coco import measured, random_annotations, scenes

from detkit.evaluation import match_file
from detkit.evaluation.match_file import read_matches, write_matches


@pytest.fixture(scope="module")
def matches():
    return measured(scenes(random_annotations(1), 1)).matches()[""]


def test_a_file_gives_the_same_matches(tmp_path, matches):
    assert write_matches(tmp_path / "m.npz", matches)
    again = read_matches(tmp_path / "m.npz")
    for name, value in vars(matches).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_too_many_matches_are_not_stored(tmp_path, matches, monkeypatch):
    (tmp_path / "m.npz").write_bytes(b"of an earlier training")
    monkeypatch.setattr(match_file, "MOST_ROWS", 3)
    assert not write_matches(tmp_path / "m.npz", matches)
    assert not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"text"])
def test_a_damaged_file_holds_no_matches(tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    assert read_matches(tmp_path / "m.npz") is None


def test_no_file_holds_no_matches(tmp_path):
    assert read_matches(tmp_path / "m.npz") is None
