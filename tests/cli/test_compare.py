"""`detkit compare`, on files of detections and on detectors."""

import csv
import json
from pathlib import Path

import pytest
from tiny_run import TINY

from detkit.cli.main import main

SHAPES = ["data=shapes", *(word for word in TINY if word.startswith("data.reader."))]


@pytest.fixture
def files(work: Path) -> Path:
    """Detections at the objects of the images, moved by 0 and by 12 pixels."""
    folder = work / "compared"
    folder.mkdir(exist_ok=True)
    (file,) = (work / "datasets/shapes").glob("*/annotations/instances_val.json")
    annotations = json.loads(file.read_text())
    for name, shift in (("good", 0), ("poor", 12)):
        rows = [
            {**{k: row[k] for k in ("image_id", "category_id")}, "score": 0.9 - row["id"] / 1000}
            | {"bbox": [row["bbox"][0] + shift, *row["bbox"][1:]]}
            for row in annotations["annotations"]
        ]
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def test_the_better_detections_win(
    work: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compared/good.json", "compared/poor.json", *SHAPES, "intervals={samples: 100}"]
    assert main(["compare", *words, "output=outcome"]) == 0
    printed = capsys.readouterr().out
    assert "good.json is better than poor.json by" in printed
    content = json.loads((work / "outcome/comparison.json").read_text())
    assert content["numbers"]["AP"]["exceeds_chance"] is True
    assert content["samples"] == 100
    assert list((work / "outcome").glob("01_*.jpg"))
    rows = list(csv.DictReader((work / "outcome/images.csv").open()))
    assert len(rows) == 4


@pytest.mark.slow  # tests/evaluation/test_paired_comparison.py has the sentences
def test_several_are_compared_with_the_first(
    work: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "same.json").write_text((files / "good.json").read_text())
    sources = [f"compared/{name}.json" for name in ("good", "poor", "same")]
    assert main(["compare", *sources, *SHAPES, "output=null", "intervals={samples: 100}"]) == 0
    printed = capsys.readouterr().out
    assert "no difference beyond chance: good.json minus same.json is +0.000" in printed
    assert "2 comparisons, without a correction" in printed


@pytest.mark.slow  # the export takes twenty seconds
def test_a_run_and_its_exported_file(
    work: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SHAPES, "intervals={samples: 100}", "output=null"]
    assert main(["compare", "first", str(exported), *words]) == 0
    printed = capsys.readouterr().out
    assert "first: AP" in printed
    assert "tiny.onnx: AP" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["first"], "needs two detectors or more, got 1"),
        (["first", "first"], "first: is named twice"),
        (["compared/good.json", "compared/poor.json"], "names no data set: add data.path=DATA"),
        (["first", "absent"], "absent"),
        (["compared/good.json", "compared/poor.json", "device=cpu"], "device=cpu: files of"),
        (["first", "compared/good.json"], "names no data set: add data.path=DATA"),
        (["first", "second", "ckpt=third"], "'ckpt=third': name the detectors without a key"),
        (["compared/good.json", "compared/poor.json", "intervals=false"], "needs its intervals"),
        (["compared/good.json", "compared/poor.json", *SHAPES, "split=nowhere"], "nowhere"),
        (["first", "compared/good.json", *SHAPES, "intervals={samples: 5}"], "100 samples or more"),
        (["first", "compared/good.json", *SHAPES, "intervals=many"], "expected true, false or"),
    ],
)
def test_wrong_words_give_one_screen(
    work: Path, files: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["compare", *words, "output=null"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
