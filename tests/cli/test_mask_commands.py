"""Masks from training to pictures and files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask
from tiny_run import TINY

import detkit
from detkit.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]

HEAD = "model.roi_head.postprocess"
SHAPES = ["data=shapes", *(word for word in TINY if word.startswith("data.reader."))]
WORDS = [
    *(word for word in TINY if not word.startswith(("model=", "model.head."))),
    "model=mask_rcnn",
    "model.proposer.training_postprocess.max_detections=100",
    "model.proposer.postprocess.max_detections=100",
    "model.roi_head.sampler.number=32",
    "model.roi_head.box_head.width=32",
    "model.roi_head.mask_head.channels=16",
    f"{HEAD}.score_threshold=0",
    f"{HEAD}.max_detections=20",
    "callbacks.checkpoints.monitor=val/mask_AP",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a mask head, its evaluation in `measured`, its detections in `found`."""
    folder = tmp_path_factory.mktemp("masks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *WORDS, "run_folder=run"]) == 0
        assert main(["evaluate", "ckpt=run", "output=measured"]) == 0
        words = ["predict", "ckpt=run", f"source={next(folder.rglob('val'))}", "output=found"]
        assert main([*words, "score_threshold=0"]) == 0
    return folder


def test_training_and_evaluation_report_the_same_mask_ap(run: Path) -> None:
    rows = list(csv.DictReader((run / "run/metrics.csv").open()))
    assert [row["val/mask_AP"] for row in rows if row["val/AP"]]
    assert (run / "run/checkpoints/best.ckpt").is_file()
    numbers = json.loads((run / "run/metrics.json").read_text())
    assert {"mask_AP", "mask_AP50", "mask_AR_small", "mask_AP/circle"} <= set(numbers)
    assert numbers == json.loads((run / "measured/metrics.json").read_text())
    assert "mask_AP50" in (run / "run/report.html").read_text()


def test_a_file_of_detections_measures_as_its_detector_does(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert main(["evaluate", "detections=measured/detections.json", *SHAPES, "output=again"]) == 0
    again = json.loads((run / "again/metrics.json").read_text())
    assert again == json.loads((run / "measured/metrics.json").read_text())


def test_predictions_hold_the_masks_of_the_results(run: Path) -> None:
    rows = json.loads((run / "found/detections.json").read_text())
    files = dict.fromkeys(row["file_name"] for row in rows)
    detector = detkit.load(run / "run", device="cpu")
    for file, result in zip(files, detector.predict(list(files), threshold=0), strict=True):
        stored = [row["segmentation"] for row in rows if row["file_name"] == file]
        assert stored == result.rle()
        assert np.array_equal(np.moveaxis(mask.decode(stored), 2, 0).astype(bool), result.masks)
        with Image.open(run / "found" / f"{Path(file).stem}.png") as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(result.draw()))


def test_predictions_hold_polygons_on_request(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    words = ["predict", "ckpt=run", f"source={next(run.rglob('val'))}", "output=polygons"]
    assert main([*words, "score_threshold=0", "mask_format=polygons"]) == 0
    rows = json.loads((run / "polygons/detections.json").read_text())
    polygons = [polygon for row in rows for polygon in row["segmentation"]]
    assert polygons
    assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons)


def test_data_without_masks_are_measured_by_boxes_with_a_warning(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(run)
    assert main(["data", "convert", str(next(run.rglob("val")).parent), "yolo", "format=yolo"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "ckpt=run", "data=folder", "data.path=yolo"]) == 0
    assert caplog.text.count("only boxes are measured") == 1
    assert "mask_AP" not in capsys.readouterr().out


def test_an_export_without_nms_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)
    assert main(["export", "run", "nms=false"]) == 2
    assert "nms=false leaves those to another engine" in capsys.readouterr().err
