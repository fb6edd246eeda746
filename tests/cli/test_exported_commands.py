"""`ckpt=model.onnx` where a run could be: predict, evaluate and benchmark."""

import json
from dataclasses import replace

import pytest
from exported_files import MODEL, write_model_and_data, write_onnx
from PIL import Image

from detkit.cli.main import main

pytestmark = pytest.mark.usefixtures("blank_figures")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with model.onnx, and two white images in `data`."""
    monkeypatch.chdir(tmp_path)
    return write_model_and_data(tmp_path)


def test_predict_writes_pictures_and_rows(folder, capsys):
    words = ["source=data", "output=out", "score_threshold=0.6", "batch_size=2"]
    assert main(["predict", "ckpt=model.onnx", *words]) == 0
    printed = capsys.readouterr()
    assert printed.out == "2 detections in 2 images, 0 skipped: out\n"
    assert printed.err.startswith("engine: onnxruntime ")
    assert "CPUExecutionProvider" in printed.err
    rows = json.loads((folder / "out/detections.json").read_text())
    assert [row["bbox"] for row in rows] == [[0, 0, 40, 30], [0, 0, 24, 24]]
    assert {key: rows[0][key] for key in ("image_id", "category_id", "file_name")} == {
        "image_id": 1,
        "category_id": 7,
        "file_name": "data/1.png",
    }
    assert Image.open(folder / "out/2.png").width == 456  # enlarged for the text


def test_predict_names_the_threshold_that_the_file_holds(folder, capsys):
    assert main(["predict", "ckpt=model.onnx", "source=data"]) == 0
    assert "score_threshold=0.10: stored in model.onnx" in capsys.readouterr().err
    assert len(json.loads((folder / "predictions/detections.json").read_text())) == 4


@pytest.mark.parametrize("scores", ["per_class", "{cat: 0.1, dog: 0.6}"])
def test_predict_takes_thresholds_of_classes(folder, capsys, scores):
    write_onnx(folder / "model.onnx", replace(MODEL, class_thresholds={"dog": 0.6}))
    words = ["source=data", f"score_threshold={scores}", "format=coco"]
    assert main(["predict", "ckpt=model.onnx", *words]) == 0
    rows = json.loads((folder / "predictions/detections.json").read_text())
    assert {row["category_id"] for row in rows} == {7}
    text = "score_threshold=per_class: cat 0.10, dog 0.60"
    assert (text in capsys.readouterr().err) == (scores == "per_class")


@pytest.mark.parametrize(("words", "kind"), [([], dict), (["mask_format=polygons"], list)])
def test_predict_writes_masks_in_both_formats(folder, words, kind):
    write_onnx(folder / "masks.onnx", replace(MODEL, mask_size=8))
    assert main(["predict", "ckpt=masks.onnx", "source=data", "output=out", *words]) == 0
    rows = json.loads((folder / "out/detections.json").read_text())
    assert [type(row["segmentation"]) for row in rows] == [kind] * 4


def test_evaluate_measures_and_writes_what_a_run_would(folder, capsys):
    words = ["data.path=data", "split=all", "data.workers=0", "output=numbers"]
    assert main(["evaluate", "ckpt=model.onnx", *words]) == 0
    printed = capsys.readouterr()
    assert "(2 images, 2 objects)" in printed.out
    assert printed.err.startswith("engine: onnxruntime ")
    assert json.loads((folder / "numbers/metrics.json").read_text())["AP"] == 1
    assert len(json.loads((folder / "numbers/detections.json").read_text())) == 4


def test_benchmark_measures_the_engine(folder, capsys):
    assert main(["benchmark", "ckpt=model.onnx", "source=data", "steps=2", "batch_size=2"]) == 0
    printed = capsys.readouterr().out
    assert "model.onnx, 2 classes, fp32" in printed
    for row in ("decoding", "resizing", "engine", "whole prediction"):
        assert f"  {row} " in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "ckpt=none.onnx", "source=data"], "none.onnx: there is no such file"),
        (["predict", "ckpt=model.onnx"], "needs source=FILE, FOLDER or 'PATTERN'"),
        (
            ["predict", "ckpt=model.onnx", "source=data", "image_size=64"],
            "'image_size=64' has no effect on model.onnx",
        ),
        (["predict", "ckpt=model.onnx", "source=data", "batch_size=0"], "batch_size=0: expected a"),
        (["predict", "ckpt=model.onnx", "source=data", "score_threshold=2"], "score from 0 to 1"),
        (["predict", "ckpt=model.onnx", "source=data", "mask_format=png"], "rle or polygons"),
        (["predict", "ckpt=cut.onnx", "source=data"], "cut.onnx: onnxruntime cannot read this"),
        (["predict", "ckpt=small.onnx", "source=data"], "takes images of 24 x 24"),
        (["evaluate", "ckpt=model.onnx"], "names no data set to measure it on"),
        (["evaluate", "ckpt=model.onnx", "data.path=data", "model=fcos"], "has no effect on"),
        (["benchmark", "ckpt=model.onnx", "steps=many"], "steps=many: expected a whole number"),
        (["benchmark", "ckpt=model.onnx", "model=fcos"], "'model=fcos' has no effect on"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(folder, capsys, words, message):
    (folder / "cut.onnx").write_bytes((folder / "model.onnx").read_bytes()[:200])
    write_onnx(folder / "small.onnx", replace(MODEL, size=(24, 24)))
    assert main(words) == 2
    assert message in capsys.readouterr().err
