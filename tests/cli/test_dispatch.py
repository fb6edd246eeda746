"""The command line's words reach the named command."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from detkit.cli.main import main


def test_version_names_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert f"torch {version('torch')}" in capsys.readouterr().out


def test_plugin_without_a_verb_shows_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin"]) == 2
    assert "detkit plugin new FAMILY NAME" in capsys.readouterr().err


def test_table_of_a_folder_without_a_sweep_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "table", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_data_are_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    Image.new("RGB", (64, 64)).save(source / "a.png")
    box = {"id": 1, "image_id": 7, "category_id": 4, "bbox": [8, 8, 16, 32], "iscrowd": 0}
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 64, "width": 64}],
        "annotations": [{**box, "area": 512}],
        "categories": [{"id": 4, "name": "thing"}],
    }
    (source / "instances.json").write_text(json.dumps(content))
    words = [str(source), str(tmp_path / "yolo"), "format=yolo"]
    assert main(["data", "convert", *words]) == 0
    assert "coco -> yolo" in capsys.readouterr().out
    (labels,) = (tmp_path / "yolo").rglob("a.txt")
    assert [float(v) for v in labels.read_text().split()] == [0, 0.25, 0.375, 0.25, 0.5]
