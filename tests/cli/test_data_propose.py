"""`detkit data propose` and trainings with its file."""

import sqlite3

import pytest
from tiny_run import TINY

from detkit.cli.main import main
from detkit.data import proposing
from detkit.data.opencv import cv2
from detkit.data.shapes import render_shapes

SHAPES = ["data.reader.train_images=4", "data.reader.validation_images=2"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Six rendered images."""
    folder = tmp_path_factory.mktemp("propose") / "shapes"
    render_shapes(folder, train_images=4, validation_images=2, image_size=96, seed=0)
    return folder


def count(file):
    with sqlite3.connect(file) as connection:
        return connection.execute("select count(*) from proposals").fetchone()[0]


def test_a_grid_for_every_image(shapes, tmp_path, capsys):
    file = tmp_path / "grid.db"
    assert main(["data", "propose", str(shapes), f"output={file}", "most=50"]) == 0
    assert f"{file}: proposals of 6 images; 50 regions an image" in capsys.readouterr().out
    assert count(file) == 6


# pain 94
def test_an_interruption_loses_nothing(shapes, tmp_path, capsys, monkeypatch):
    file, original, seen = tmp_path / "grid.db", proposing.usable, []

    def stop_at_the_fourth(*arguments):
        seen.append(arguments)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    words = ["data", "propose", str(shapes), f"output={file}", "most=5", "threads=1"]
    monkeypatch.setattr(proposing, "usable", stop_at_the_fourth)
    assert main(words) == 130
    assert count(file) == 3
    monkeypatch.undo()
    assert main(words) == 0
    assert "6 images, 3 of them from before" in capsys.readouterr().out


def test_without_opencvs_contrib_modules_the_error_names_the_command(shapes, capsys, monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc", raising=False)
    assert main(["data", "propose", str(shapes), "method=selective_search"]) == 2
    assert "run pip install 'detkit[proposals]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["method=run"], "method=run needs the run that proposes: add ckpt=RUN"),
        (["method=gird"], "method"),
        (["most=0"], "most"),
    ],
)
def test_bad_words_say_what_to_change(shapes, words, message, capsys):
    assert main(["data", "propose", str(shapes), *words]) == 2
    assert message in capsys.readouterr().err


FAST_RCNN = [
    "model=fast_rcnn",
    *(word for word in TINY if not word.startswith(("model", "data.reader"))),
    "model/backbone=timm",
    "model.backbone.model=test_resnet",
    "model.backbone.levels=[4]",
    "model.roi_head.box_head.width=16",
    "model/proposer=external",
]


def test_a_training_without_the_file_says_how_to_write_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *FAST_RCNN, "data=shapes", *SHAPES]) == 2
    assert "model.proposer.file is null" in capsys.readouterr().err


@pytest.mark.slow
def test_training_evaluation_prediction_and_assignment(shapes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "propose", str(shapes), "output=grid.db"]) == 0
    words = [f"data.path={shapes}", "model.proposer.file=grid.db", "run_folder=run"]
    assert main(["train", *FAST_RCNN, *words]) == 0
    assert main(["evaluate", "ckpt=run"]) == 0
    picture = next(shapes.rglob("*.jpg"))
    assert main(["predict", "ckpt=run", f"source={picture}"]) == 0
    assert main(["assign", "ckpt=run", "count=1", "output=null"]) == 0
    assert main(["data", "propose", str(shapes), "method=run", "ckpt=run", "output=run.db"]) == 0
    assert main(["export", "ckpt=run", "format=onnx"]) == 2
    assert "an exported graph takes nothing but images" in capsys.readouterr().err
