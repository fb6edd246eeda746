"""`detkit predict format=... classes=...`, with an exported file and with a run."""

import json
from pathlib import Path

import pytest
from exported_files import write_data, write_onnx
from PIL import Image

from detkit.cli.main import main

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

WORDS = ["predict", "ckpt=model.onnx", "source=data", "output=out"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with model.onnx (cat, dog), and two white images in `data`."""
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "model.onnx")
    (tmp_path / "data").mkdir()
    write_data(tmp_path / "data")
    return tmp_path


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


@pytest.mark.parametrize(
    ("word", "files"),
    [
        ("format=csv", ["detections.csv"]),
        ("format=[csv, coco]", ["detections.csv", "detections.json"]),
        ("format=yolo", ["classes.txt", "labels/1.txt", "labels/2.txt"]),
        (
            "format=crops",
            [*(f"crops/cat/{n}-1.png" for n in (1, 2)), *(f"crops/dog/{n}-2.png" for n in (1, 2))],
        ),
    ],
)
def test_only_the_formats_that_are_named_are_written(folder, word, files):
    assert main([*WORDS, word]) == 0
    assert written(folder / "out") == [*files, "prediction.json"]


def test_another_format_removes_the_files_of_the_first(folder, capsys):
    main([*WORDS, "format=[yolo,csv]"])
    (folder / "out/labels/mine.txt").touch()
    assert main([*WORDS, "format=csv"]) == 0
    assert written(folder / "out") == ["detections.csv", "labels/mine.txt", "prediction.json"]


def test_classes_keep_their_detections_alone(folder):
    assert main([*WORDS, "format=coco", "classes=[dog]"]) == 0
    rows = json.loads((folder / "out/detections.json").read_text())
    assert [row["category_id"] for row in rows] == [9, 9]


def test_a_plugin_adds_a_format(folder):
    assert main(["plugin", "new", "writer", "own_format"]) == 0
    assert main([*WORDS, "format=own_format"]) == 0
    assert "data/1.png,dog,1" in (folder / "out/counts.csv").read_text()


def test_a_crop_has_the_pixels_of_its_box(folder):
    main([*WORDS, "format=crops"])
    with Image.open(folder / "out/crops/dog/1-2.png") as crop:
        assert (crop.size, crop.getextrema()) == ((20, 15), ((255, 255),) * 3)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("format=yolov5", "there is no writer 'yolov5'. Did you mean 'yolo'? Known: coco, crops"),
        ("format=[]", "format=[]: expected a name, or several as format=[A,B]"),
        ("format=csv,coco", "format=csv,coco: expected a name, or several as format=[A,B]"),
        ("format=mot", "format=mot needs tracks, and nothing tracks the objects"),
        ("classes=[dgo]", "classes: the detector has no class 'dgo'. Did you mean 'dog'? Its"),
        ("resume=yes", "resume=yes: expected true or false"),
        ("mask_format=polygons", "mask_format=polygons: this detector gives no masks"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(folder, capsys, word, message):
    assert main([*WORDS, word]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists() or written(folder / "out") == []


def test_a_run_takes_the_same_words(work, tmp_path):
    Image.new("RGB", (96, 96), (90, 120, 60)).save(tmp_path / "one.png")
    words = [f"source={tmp_path}/one.png", f"output={tmp_path}/out", "score_threshold=0"]
    assert main(["predict", "ckpt=first", *words, "format=[yolo,csv]", "classes=circle"]) == 0
    assert written(tmp_path / "out") == [
        *("classes.txt", "detections.csv", "labels/one.txt", "prediction.json")
    ]
