"""Completion of the command line: what is answered here, and what Hydra is asked."""

from __future__ import annotations

import os

import pytest

from detkit.cli.completion import complete

COMMANDS = ["train", "evaluate", "list", "describe"]
QUERY = ["-sc", "query=bash"]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    return lambda line: monkeypatch.setenv("COMP_LINE", line)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("detkit ", COMMANDS),
        ("detkit tr", ["train"]),
        ("detkit  de", ["describe"]),
        ("detkit list tran", ["transform"]),
        ("detkit describe box_c", ["box_coder"]),
        ("detkit describe scheduler cos", ["cosine"]),
        ("detkit list neck x", []),
    ],
)
def test_answered_without_hydra(line, answer, typed, capsys):
    typed(line)
    assert complete(QUERY, COMMANDS) == []
    assert capsys.readouterr().out.split() == answer


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("detkit train model=", "detkit model="),
        ("detkit config model=fcos ", "detkit model=fcos "),
        ("detkit evaluate ", "detkit "),
    ],
)
def test_hydra_sees_the_line_without_the_command(line, left, typed):
    typed(line)
    assert complete(QUERY, COMMANDS) == ["train", *QUERY]
    assert os.environ["COMP_LINE"] == left


def test_installing_goes_to_hydra():
    assert complete(["-sc", "install=zsh"], COMMANDS) == ["train", "-sc", "install=zsh"]
