"""`detkit config explain` and `detkit config diff` as a user sees them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from detkit.cli.main import main

NECK = {"name": "fpn", "out_channels": 64}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two run folders: `a`, and `b` with another neck, seed, version and folder."""
    monkeypatch.chdir(tmp_path)
    for name, neck, seed, torch in (("a", NECK, 0, "2.9"), ("b", {"name": "pan"}, 1, "2.10")):
        folder = tmp_path / name
        folder.mkdir()
        config = {"model": {"neck": neck}, "seed": seed, "run_folder": f"/runs/{name}"}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        record = {"started": name, "versions": {"torch": torch}, "seed": seed}
        (folder / "environment.json").write_text(json.dumps(record))
    return tmp_path


def test_diff_shows_both_values_and_a_swap_as_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "diff", "a", "b"]) == 1
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["model.neck", "fpn", "pan"] in shown
    assert ["seed", "0", "1"] in shown
    assert ["versions.torch", "2.9", "2.10"] in shown
    assert shown.index(["run_folder", "/runs/a", "/runs/b"]) > shown.index(
        ["changes", "no", "result"]
    )
    assert not any("out_channels" in line for row in shown for line in row)


def test_diff_of_equal_runs_is_zero(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("a", "c")
    assert main(["config", "diff", "a", "c"]) == 0
    assert capsys.readouterr().out == "no difference that could change a result\n"
    assert main(["config", "diff", "a/config.yaml", "c", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True


def test_diff_as_json_holds_both_parts_whole(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "diff", "a", "b", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["equal"] is False
    assert {"path": "model.neck", "before": NECK, "after": {"name": "pan"}} in found[
        "configuration"
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "takes two runs"),
        (["a", "nowhere"], "'nowhere' is not a run, checkpoint, config.yaml or page"),
        (["a", "b", "c"], "takes two runs"),
        (["a", "b", "--yaml"], "takes two runs"),
    ],
)
def test_diff_of_things_other_than_runs(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["config", "diff", *words]) == 2
    assert message in capsys.readouterr().err


def test_diff_of_a_damaged_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "a/environment.json").write_text("{")
    assert main(["config", "diff", "a", "b"]) == 2
    assert "a/environment.json: cannot be read as JSON" in capsys.readouterr().err
    (runs / "a/environment.json").unlink()
    (runs / "a/config.yaml").write_text("a: [")
    assert main(["config", "diff", "a", "b"]) == 2
    assert "not valid YAML" in capsys.readouterr().err


def test_diff_of_a_run_and_its_checkpoint(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "diff", "first", "first/checkpoints/best.ckpt"]) in (0, 1)
    shown = capsys.readouterr().out
    assert "data.train" not in shown, "the fingerprints are the same"


# pain 7
def test_explain_prints_value_meaning_and_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["model.neck.out_channels", "experiment=demo", "model.neck.out_channels=32"]
    assert main(["config", "explain", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model.neck.out_channels = 32"
    assert lines[1].startswith("  int > 0: Channels")
    assert "256  default of neck 'fpn'" in lines[2]
    assert "64   " in lines[3]
    assert "demo.yaml, line 10" in lines[3]
    assert lines[4] == "  * 32   command line: model.neck.out_channels=32"


@pytest.mark.parametrize(("key", "value"), [("data.batch_size", 4), ("model.head.layers.convs", 1)])
def test_explain_of_a_run(
    key: str, value: int, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "explain", key, "ckpt=first"]) == 0
    assert f"* {value}  the checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["seed=1"], ["model", "data"]])
def test_explain_takes_one_key(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "explain", *words]) == 2
    assert "takes one KEY" in capsys.readouterr().err
