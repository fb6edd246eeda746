"""A run's record of its environment."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from detkit import registry
from detkit.runs.code_state import code_state
from detkit.runs.environment import COMMAND_VARIABLE, environment, record_start

DATA = {"train": "0123456789abcdef", "validation": "fedcba9876543210"}


def git(folder: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


# pain 24
def test_a_run_records_what_its_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv(COMMAND_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["/home/me/bin/detkit", "train", "data.path=my data"])
    record = environment(5, DATA)
    assert record["seed"] == 5
    assert record["data"] == DATA
    assert record["versions"]["torch"] == str(torch.__version__)
    assert {"detkit", "lightning", "torchvision", "hydra-core"} <= set(record["versions"])
    assert record["command"] == "detkit train 'data.path=my data'"
    assert record["variables"]["OMP_NUM_THREADS"] == "1"
    assert record["devices"]["threads"] == torch.get_num_threads()
    assert record["devices"]["cpu"]
    assert record["arithmetic"]["deterministic"] is False
    started = datetime.fromisoformat(record["started"])
    assert abs((datetime.now(UTC) - started).total_seconds()) < 60


def test_it_names_no_user_machine_or_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush-hush")
    monkeypatch.setenv(COMMAND_VARIABLE, "detkit train")
    monkeypatch.chdir(tmp_path)
    text = json.dumps(environment(0, DATA))
    for private in ("hush-hush", str(tmp_path), socket.gethostname(), f"/{getpass.getuser()}/"):
        assert private not in text


def test_a_command_of_a_child_process_is_the_one_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMAND_VARIABLE, "detkit train -m seed=1,2")
    assert environment(1, DATA)["command"] == "detkit train -m seed=1,2"


def test_plugins_are_named_with_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_loaded_plugins", {})
    registry.load_plugins([str(file)])
    (first,) = environment(0, DATA)["plugins"]
    assert first["name"] == first["file"] == "mine.py"
    file.write_text("x = 2\n")
    (second,) = environment(0, DATA)["plugins"]
    assert len(first["sha256"]) == 16
    assert first["sha256"] != second["sha256"]


def test_code_state_tells_changes_apart(repository: Path) -> None:
    clean = code_state(repository)
    assert len(clean["commit"]) == 40
    assert clean["changed"] == 0
    (repository / "a.txt").write_text("two")
    one = code_state(repository)
    (repository / "a.txt").write_text("three")
    other = code_state(repository)
    assert one["changed"] == other["changed"] == 1
    assert one["changes"] != other["changes"]
    (repository / "a.txt").write_text("two")
    assert code_state(repository) == one


def test_code_state_without_a_repository_is_none(tmp_path: Path, repository: Path) -> None:
    assert code_state(Path("/")) is None
    (repository / ".gitignore").write_text("installed/\n")
    (repository / "installed").mkdir()
    assert code_state(repository / "installed") is None


def test_git_runs_nothing_that_a_repository_names(repository: Path) -> None:
    trace = repository / "trace"
    command = repository / "run.sh"
    command.write_text(f"#!/bin/sh\ntouch {trace}\n")
    command.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(command))
    git(repository, "config", "diff.external", str(command))
    trace.unlink(missing_ok=True)
    (repository / "a.txt").write_text("two")
    assert code_state(repository)["changed"] == 1
    assert not trace.exists()


def test_a_later_start_is_added_and_the_first_stays(tmp_path: Path) -> None:
    first = environment(0, DATA) | {"command": "detkit train"}
    record_start(tmp_path, first)
    for epoch in (1, 2):
        later = first | {"command": f"again {epoch}", "python": "3.99"}
        record_start(tmp_path, later, where=f"in epoch {epoch}, batch 3")
    content = json.loads((tmp_path / "environment.json").read_text())
    assert {**content, "resumed": []} == {**first, "resumed": []}
    assert content["resumed"] == [
        {"where": f"in epoch {epoch}, batch 3", "command": f"again {epoch}", "python": "3.99"}
        for epoch in (1, 2)
    ]


def test_a_damaged_record_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"seed": ')
    record_start(tmp_path, {"seed": 1}, where="in epoch 1, batch 2")
    assert json.loads((tmp_path / "environment.json").read_text()) == {"seed": 1, "resumed": []}
    assert (tmp_path / "environment_damaged.json").read_text() == '{"seed": '


def test_a_plugin_with_a_deleted_file_is_still_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "load_plugins", lambda: ["gone.py"])
    (plugin,) = environment(0, {})["plugins"]
    assert plugin == {"name": "gone.py", "file": "gone.py", "sha256": None}


def test_a_run_that_begins_again_has_a_new_record(tmp_path: Path) -> None:
    record_start(tmp_path, {"seed": 1})
    record_start(tmp_path, {"seed": 2})
    assert json.loads((tmp_path / "environment.json").read_text()) == {"seed": 2, "resumed": []}
