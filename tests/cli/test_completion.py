"""Completion of the command line: what is answered here, and what Hydra is asked."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from detkit import registry
from detkit.cli.completion import complete

COMMANDS = ["train", "evaluate", "list", "describe"]
VERBS = {"plugin": ("new", "check")}
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
        ("detkit plugin ", ["new", "check"]),
        ("detkit plugin new tran", ["transform"]),
        ("detkit plugin new loss x", []),
        ("detkit plugin check neck", ["neck/own_neck"]),
        ("detkit describe neck own", ["own_neck"]),
    ],
)
def test_answered_without_hydra(line, answer, typed, capsys, monkeypatch):
    def load_plugins() -> None:
        part = registry.part("neck", "fpn")
        own = replace(part, name="own_neck", origin="file own.py", plugin="own.py")
        monkeypatch.setitem(registry._parts, ("neck", "own_neck"), own)

    monkeypatch.setattr(registry, "load_plugins", load_plugins)
    typed(line)
    assert complete(QUERY, COMMANDS, VERBS) == []
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
