"""A real export finds what its run finds, from the same image files and data."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_run import GUESSES

import detkit
from detkit.cli.main import main

pytestmark = pytest.mark.slow  # an export with its certificate takes twenty seconds
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def assert_close(boxes, scores, labels, expected) -> None:
    """Equal detections in any order: rounding may swap those with equal scores."""
    distances = np.abs(boxes[:, None] - expected[0][None]).max(axis=2)
    distances[labels[:, None] != expected[2][None]] = np.inf
    assert distances.min(axis=1).max() < 0.01
    assert sorted(distances.argmin(axis=1)) == list(range(len(boxes)))
    np.testing.assert_allclose(np.sort(scores), np.sort(expected[1]), atol=1e-5)


# pain 88
def test_boxes_equal_those_of_the_run(exported: Path, detector, photos: Path) -> None:
    file = detkit.load(exported, device="cpu")
    expected = detector.predict(photos, threshold=0)
    results = file.predict(photos, threshold=0, batch_size=3)
    assert [len(result) for result in results] == [20] * 3
    for result, other in zip(results, expected, strict=True):
        assert_close(
            result.boxes, result.scores, result.labels, (other.boxes, other.scores, other.labels)
        )


def rows(folder: Path) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    content = json.loads((folder / "detections.json").read_text())
    images: dict[int, list] = {}
    for row in content:
        x, y, width, height = row["bbox"]
        values = [x, y, x + width, y + height, row["score"], row["category_id"]]
        images.setdefault(row["image_id"], []).append(values)
    arrays = {image: np.array(values) for image, values in images.items()}
    return {image: (a[:, :4], a[:, 4], a[:, 5]) for image, a in arrays.items()}


# pain 88
def test_evaluate_measures_the_same_detections(exported, tiny_run, work, tmp_path) -> None:
    data = f"data.path={tiny_run.config['data.path']}"
    assert main(["evaluate", "ckpt=first", f"output={tmp_path / 'run'}", *GUESSES]) == 0
    words = [f"ckpt={exported}", data, "data.workers=0", f"output={tmp_path / 'file'}"]
    assert main(["evaluate", *words]) == 0
    expected, results = rows(tmp_path / "run"), rows(tmp_path / "file")
    assert len(results) == len(expected) == 4
    for image, result in results.items():
        assert_close(*result, expected[image])
