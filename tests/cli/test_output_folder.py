"""Folders that cannot be written: one error with the key to set."""

from __future__ import annotations

import os

import pytest

from detkit.cli import main as program
from detkit.cli.output_folder import make_folder
from detkit.errors import UserError


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"taken/out cannot be written .*choose an output=FOLDER"):
        make_folder(tmp_path / "taken" / "out")


def test_a_folder_without_the_right_to_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="Permission denied"):
        make_folder(tmp_path)


def test_any_other_file_without_permission_is_no_traceback(monkeypatch, capsys):
    def refused(words: list[str]) -> int:
        raise PermissionError(13, "Permission denied", "runs/x")

    monkeypatch.setattr(program, "dispatch", refused)
    assert program.main(["train"]) == 2
    assert "error: 'runs/x': Permission denied. To write elsewhere" in capsys.readouterr().err
