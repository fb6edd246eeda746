"""The commands and the program of docs/video.md run, on a clip of two seconds."""

import json
import re
import shlex
from pathlib import Path

import pytest
from clips import frame_of, write_clip
from exported_files import write_onnx
from PIL import Image

from detkit.cli.main import main

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

PAGE = (Path(__file__).parents[2] / "docs" / "video.md").read_text(encoding="utf-8")
COMMANDS = [
    re.split(r"\s{2,}", line)[0] for line in re.findall(r"^detkit (predict .*)$", PAGE, re.M)
]
PROGRAM = re.search(r"```python\n(.*?)```", PAGE, re.S)[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_onnx(folder / "model.onnx")
    times = range(0, 2000, 200)
    write_clip(folder / "clip.mp4", pictures=[frame_of(9)] * 10, times=times)
    (folder / "frames").mkdir()
    for number in range(3):
        Image.fromarray(frame_of(9)).save(folder / f"frames/{number:04d}.png")
    Image.fromarray(frame_of(9)).save(folder / "photo.png")
    (folder / "list.txt").write_text("photo.png\nclip.mp4\n")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, files, tmp_path, monkeypatch):
    if "track=" in command:
        pytest.importorskip("trackers", reason="tracking needs the package trackers")
    monkeypatch.chdir(files)
    words = shlex.split(command.replace("RUN", "model.onnx"))
    assert main([*words, f"output={tmp_path}"]) == 0
    assert any(tmp_path.rglob("*.*"))


def test_the_program_runs(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    exec(PROGRAM.replace("RUN", "model.onnx"), {})
    assert capsys.readouterr().out.splitlines()[0].startswith("5 1.0 (2, 4) ('cat', 'dog')")


def test_the_line_has_the_keys_of_the_page(files, tmp_path, monkeypatch):
    monkeypatch.chdir(files)
    main(["predict", "ckpt=model.onnx", "source=clip.mp4", f"output={tmp_path}", "format=coco"])
    shown = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.S)[1])
    line = json.loads((tmp_path / "clip.frames.jsonl").read_text().splitlines()[9])
    assert line.keys() == shown.keys()
    assert {*line["detections"][0], "track_id"} == shown["detections"][0].keys()
