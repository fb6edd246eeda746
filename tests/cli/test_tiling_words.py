"""`tiling=` of `detkit predict` and `detkit evaluate`, for exported files and runs."""

import json

import pytest
from exported_files import write_model_and_data
from tiny_run import TINY

from detkit.cli.main import main

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with model.onnx, and white images of 40 x 30 and 24 x 24 in `data`."""
    monkeypatch.chdir(tmp_path)
    return write_model_and_data(tmp_path)


def predicted(folder, *words):
    words = ["ckpt=model.onnx", "source=data", "output=out", "format=coco", *words]
    assert main(["predict", *words, "score_threshold=0.6", "resume=false"]) == 0
    return [row["bbox"] for row in json.loads((folder / "out/detections.json").read_text())]


def test_predict_detects_in_tiles(folder):
    boxes = predicted(folder, "tiling={size: 24, overlap: 0, merge: none}")
    assert boxes == [
        [0, 0, 24, 24],
        [16, 0, 24, 24],
        [0, 6, 24, 24],
        [16, 6, 24, 24],
        [0, 0, 24, 24],
    ]


def test_predict_takes_single_settings(folder):
    words = ["tiling.size=24", "tiling.overlap=0", "tiling.merge=none", "tiling.full_image=true"]
    assert predicted(folder, *words) == [[0, 0, 40, 30], [0, 0, 24, 24]]  # whole boxes win


def test_other_tiles_are_another_prediction(folder, capsys):
    predicted(folder)
    words = ["source=data", "output=out", "format=coco", "score_threshold=0.6", "resume=true"]
    assert main(["predict", "ckpt=model.onnx", *words, "tiling.size=24"]) == 0
    assert "(finished earlier)" not in capsys.readouterr().out


def test_what_does_not_fit_is_one_line(folder, capsys):
    assert (
        main(["predict", "ckpt=model.onnx", "source=data", "tiling={size: 24, overlap: 24}"]) == 2
    )
    assert capsys.readouterr().err == (
        "error: tiling.overlap=24: expected a share of the tile, from 0 to below 1. Neighbours "
        "cannot share a whole tile.\n"
    )


@pytest.mark.slow
def test_training_tiles_do_not_cut_measured_images(folder, capsys):
    words = ["evaluate", "ckpt=model.onnx", "data.path=data", "split=all", "data.tiling.size=24"]
    assert main(words) == 2
    assert "set tiling.size=24 to detect in tiles" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_measures_the_detections_of_tiles(folder, capsys):
    words = ["evaluate", "ckpt=model.onnx", "data.path=data", "split=all", "data.workers=0"]
    assert main([*words, "tiling={size: 24, merge: none}", "output=tiles"]) == 0
    assert json.loads((folder / "tiles/metrics.json").read_text())["AP"] < 1
    assert main([*words, "tiling.size=40", "output=whole"]) == 0
    assert json.loads((folder / "whole/metrics.json").read_text())["AP"] == 1


@pytest.mark.slow
def test_a_run_that_was_trained_on_tiles_recommends_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*TINY, "trainer.max_epochs=1", "data.tiling={size: 64}", "run_folder=run"]
    assert main(["train", *words]) == 0
    assert "8 images cut into 32 tiles of 64 x 64 pixels" in capsys.readouterr().err
    assert main(["evaluate", "ckpt=run", "device=cpu"]) == 0
    assert "add 'tiling={size: 64, overlap: 0.2}'" in capsys.readouterr().err
    assert main(["evaluate", "ckpt=run", "device=cpu", "tiling={size: 64, overlap: 0.2}"]) == 0
    assert "now sees whole images" not in capsys.readouterr().err


@pytest.mark.parametrize("word", ["tiling={}", "tta={}"])
def test_settings_of_nothing_are_refused(folder, capsys, word):
    assert main(["predict", "ckpt=model.onnx", "source=data", word]) == 2
    assert "leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["tta={flip: true}"], []])
def test_tiles_of_trainings_are_refused_by_measurements(folder, capsys, words):
    words = ["data.path=data", "data.tiling.size=24", *words]
    assert main(["evaluate", "ckpt=model.onnx", *words]) == 2
    assert "only trainings cut images by it" in capsys.readouterr().err
