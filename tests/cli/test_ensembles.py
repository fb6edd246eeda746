"""`tta`, `merge`, `ckpt=[A,B]` and `ckpt_weights` of `detkit predict` and `detkit evaluate`."""

import json
from dataclasses import replace

import numpy as np
import pytest
from exported_files import MODEL, write_data, write_onnx
from PIL import Image
from tiny_run import GUESSES

from detkit.cli.main import main

pytest.importorskip("onnxruntime")
RESIZE = {"name": "resize", "short_side": 64, "long_side": 64, "multiple": 1, "enlarge": True}
NO_PICTURES = ["format=[coco]", "output=out"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a.onnx, b.onnx (cat and pig) and a white picture."""
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "a.onnx")
    write_onnx(tmp_path / "b.onnx", replace(MODEL, class_names=("cat", "pig")))
    Image.fromarray(np.full((30, 40, 3), 255, np.uint8)).save(tmp_path / "white.png")
    return tmp_path


def rows(folder):
    return json.loads((folder / "out/detections.json").read_text())


def test_exported_files_predict_as_one(folder, capsys):
    words = ["ckpt=[a.onnx,b.onnx]", "source=white.png", "score_threshold=0", *NO_PICTURES]
    assert main(["predict", *words, "ckpt_weights=[1, 3]", "merge=nms"]) == 0
    printed = capsys.readouterr().err
    assert printed.count("engine: ") == 2
    assert "only b.onnx detects pig" in printed
    assert [round(row["score"], 3) for row in rows(folder)] == [0.75, 0.5, 0.5]


def test_views_of_an_exported_file_are_merged(folder):
    words = ["ckpt=a.onnx", "source=white.png", "score_threshold=0", *NO_PICTURES]
    assert main(["predict", *words, "tta.flip=true", "merge={name: none}"]) == 0
    assert len(rows(folder)) == 4


@pytest.mark.slow
def test_exported_files_are_measured_as_one(folder, capsys):
    words = [f"data.path={write_data(folder)}", "split=all", "data.workers=0"]
    assert main(["evaluate", "ckpt=[a.onnx,b.onnx]", *words, "tta={flip: true}"]) == 0
    assert "AP         1.000" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_and_a_file_predict_and_measure_as_one(folder, tiny_run, capsys):
    names = f"ckpt=[{tiny_run.folder},a.onnx]"
    shapes = replace(MODEL, class_names=("circle", "cross"), resize={"fit": RESIZE})
    write_onnx(folder / "a.onnx", shapes)
    words = [names, "tta={flip: true, scales: [0.5, 1]}", "device=cpu"]
    assert main(["predict", *words, "source=white.png", *NO_PICTURES]) == 0
    assert f"only {tiny_run.folder}" in capsys.readouterr().err
    assert main(["evaluate", *words]) == 0
    assert "AP50" in capsys.readouterr().out


@pytest.mark.slow
def test_views_of_a_run_are_measured(work, capsys):
    assert main(["evaluate", "ckpt=first", "tta={flip: true}", "merge=soft_nms", *GUESSES]) == 0
    assert "split: val (4 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ckpt=[a.onnx,]"], "ckpt=[a.onnx,]: expected runs or files as ckpt=[RUN_A,RUN_B]"),
        (["ckpt=a.onnx,b.onnx"], "ckpt=a.onnx,b.onnx: for several detectors, write ckpt=[a.onnx,"),
        (["ckpt=[a.onnx,none.onnx]"], "none.onnx: there is no such file"),
        (["ckpt=a.onnx", "merge=nms"], "there is nothing to merge"),
        (["ckpt=a.onnx", "tta=[1"], "tta=[1: cannot be read; write it like tta={flip: true"),
        (["ckpt=a.onnx", "tta={flip: 1}"], "tta.flip=1: expected true or false"),
        (["ckpt=[a.onnx,b.onnx]", "merge=[nms]"], "merge=['nms']: expected a name or a mapping"),
        (["ckpt=[a.onnx,b.onnx]", "ckpt_weights=2"], "ckpt_weights=2: expected a list"),
    ],
)
def test_wrong_words_are_explained(folder, capsys, words, message):
    assert main(["predict", *words, "source=white.png"]) == 2
    assert message in capsys.readouterr().err


def test_a_word_for_runs_alone_is_refused_with_a_file(folder, tiny_run, capsys):
    words = [f"ckpt=[{tiny_run.folder},a.onnx]", "image_size=64", "source=white.png"]
    assert main(["predict", *words]) == 2
    assert "'image_size=64' has no effect on a.onnx" in capsys.readouterr().err
