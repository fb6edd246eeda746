"""`detkit evaluate`: files of detections, VOC, the analysis in the run folder."""

import csv
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import GUESSES, TINY

from detkit.cli.main import main
from detkit.evaluation.bootstrap import mean_of_classes
from detkit.evaluation.match_file import read_matches
from detkit.evaluation.weighted_precision import WeightedPrecision
from detkit.visualization.analysis_pictures import READING

pytestmark = pytest.mark.usefixtures("blank_figures")

SHAPES = ["data=shapes", *(word for word in TINY if word.startswith("data.reader."))]


@pytest.fixture
def detections(work: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The detections of the run's detector, as `detkit evaluate` writes them."""
    file = work / "evaluated/detections.json"
    if not file.is_file():
        assert main(["evaluate", "ckpt=first", "output=evaluated"]) == 0
        capsys.readouterr()
    return file


@pytest.mark.parametrize("words", [["ckpt=first", "tta={flip: true}"], ["detections=a.json"]])
def test_tiles_of_trainings_are_refused(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["evaluate", *words, *SHAPES, "data.tiling.size=64"]) == 2
    assert "only trainings cut images by it" in capsys.readouterr().err


def test_a_training_leaves_its_analysis_and_shows_it(work: Path) -> None:
    content = json.loads((work / "first/metrics.json").read_text())
    assert set(content["analysis"]["errors"]["AP_gained"]) >= {"classification", "missed"}
    pictures = {path.stem for path in (work / "first/analysis").glob("*.png")}
    assert {"errors", "confusion", "precision_recall", "score_thresholds"} <= pictures
    page = (work / "first/report.html").read_text()
    shown = [name for name, (heading, _) in READING.items() if f"<h2>{heading}</h2>" in page]
    assert set(shown) == pictures


# pain 22
def test_a_file_of_detections_measures_as_its_detector_does(
    work: Path, detections: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"detections={detections}", *SHAPES, "output=again"]
    assert main(["evaluate", *words]) == 0
    printed = capsys.readouterr().out
    assert "without each kind of error" in printed
    assert "written: again/metrics.json" in printed
    again = json.loads((work / "again/metrics.json").read_text())
    assert again == json.loads((work / "first/metrics.json").read_text())


def test_voc_is_measured_on_a_checkpoint(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "ckpt=first", "metric=voc", "metric.average=11_points"]) == 0
    printed = capsys.readouterr().out
    assert "Pascal VOC, IoU 0.50, 11 points" in printed
    assert "AR100" not in printed


def test_voc_is_measured_while_training(work: Path) -> None:
    words = [*TINY, "metric=voc", "trainer.max_epochs=1", "run_folder=voc"]
    assert main(["train", *words, "callbacks.pictures=null"]) == 0
    content = json.loads((work / "voc/metrics.json").read_text())
    assert {"AP", "AP50", "AP/circle"} <= set(content)
    rows = list(csv.DictReader((work / "voc/metrics.csv").open()))
    assert any(row["val/AP"] and row["val/AP50"] for row in rows)
    assert (work / "voc/checkpoints/best.ckpt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detections=none.json", *SHAPES], "none.json: there is no such file"),
        (["detections=bad.json", *SHAPES], "bad.json: cannot be read as JSON"),
        (["detections=other.json", *SHAPES], "1 of its 1 image is not among the 4 images"),
        (["detections=bad.json", "ckpt=first"], "got both ckpt= and detections="),
        (["detections=bad.json"], "data.path: a value is missing"),
        (
            ["detections=bad.json", *SHAPES, "split=all"],
            "split=all: datasets/shapes has the splits",
        ),
    ],
)
def test_wrong_words_give_one_screen(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (work / "bad.json").write_text("{")
    row = {"image_id": 999, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}
    (work / "other.json").write_text(json.dumps([row]))
    assert main(["evaluate", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_all_images_of_a_set_that_is_not_split_are_measured(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = work / "one split"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    annotation = {"id": 1, "image_id": 7, "category_id": 4, "bbox": [0, 0, 40, 40], "area": 1600}
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 64, "width": 64}],
        "annotations": [{**annotation, "iscrowd": 0}],
        "categories": [{"id": 4, "name": "thing"}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    row = {"image_id": 7, "category_id": 4, "bbox": [0, 0, 40, 40], "score": 0.5}
    (work / "one.json").write_text(json.dumps([row]))
    words = ["detections=one.json", "data.path=one split", "data.reader=coco", "split=all"]
    assert main(["evaluate", *words]) == 0
    assert "AP         1.000" in capsys.readouterr().out


CASES = Path(__file__).parents[3] / "shared" / "cases" / "17_evaluate.tar.gz"


# pain 34
@pytest.mark.slow  # tests/evaluation/test_results_matching.py proves each kind
@pytest.mark.skipif(not CASES.is_file(), reason="the shared cases are absent")
def test_files_of_other_programs_are_matched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(CASES) as archive:
        archive.extractall(tmp_path, filter="data")
    data = tmp_path / "17_evaluate"
    for file in sorted(data.glob("*.json")):
        assert main(["evaluate", f"detections={file}", f"data.path={data}"]) == 0
        printed = capsys.readouterr().out
        assert "4 detections in 2 of 2 images, matched by" in printed
        assert "AP50       1.000" in printed


def test_intervals_are_shown_and_stored_on_request(
    work: Path, detections: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"detections={detections}", *SHAPES, "output=ranges", "intervals={samples: 200}"]
    assert main(["evaluate", *words]) == 0
    assert "95 % intervals: 200 samples of 4 images" in capsys.readouterr().out
    content = json.loads((work / "ranges/metrics.json").read_text())
    assert content["AP_low"] <= content["AP"] <= content["AP_high"]
    assert content["analysis"]["intervals"]["samples"] == 200
    assert "AP_low" not in json.loads((work / "first/metrics.json").read_text())


def test_a_training_stores_the_matches_of_its_best_checkpoint(work: Path) -> None:
    matches = read_matches(work / "first/matches.npz")
    assert matches is not None
    numbers = json.loads((work / "first/metrics.json").read_text())
    values = WeightedPrecision(matches)(np.ones((1, 4), np.int32))
    assert mean_of_classes(values)[0, 0] == pytest.approx(numbers["AP"], abs=1e-12)


def test_predict_takes_scores_by_class_name(
    work: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "ckpt=first", f"source={photos / 'a.png'}", "output=by_class", *GUESSES]
    names = ("circle", "cross", "ring", "square", "star", "triangle")
    scores = ", ".join(f"{name}: {int(name != 'ring')}" for name in names)
    assert main([*words, f"score_threshold={{{scores}}}", "format=coco"]) == 0
    rows = json.loads((work / "by_class/detections.json").read_text())
    assert {row["category_id"] for row in rows} <= {names.index("ring") + 1}
    assert main([*words, "score_threshold={rnig: 0.5}"]) == 2
    assert "no class 'rnig'. Did you mean 'ring'" in capsys.readouterr().err
