"""Detection in tiles with an exported file, whose detections are known, and with a run."""

import copy

import numpy as np
import pytest
from exported_files import write_data, write_onnx
from tiny_run import GUESSES

import detkit
from detkit.api.detector import Detector
from detkit.api.exported_backend import ExportedBackend
from detkit.api.tiled_backend import tiled as tiled_detector
from detkit.inference.tiling import Tiling

TILES = {"size": 32, "overlap": 0, "merge": "none"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    return write_onnx(tmp_path_factory.mktemp("exported") / "model.onnx")


@pytest.fixture
def image():
    """64 x 96 pixels, of which only the last tile is bright."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[32:, 64:] = 255
    return pixels


# pain 132
def test_boxes_are_in_pixels_of_the_whole_image(file, image):
    (result,) = detkit.load(file, tiling=TILES).predict(image)
    assert result.boxes.tolist() == [[64, 32, 96, 64], [64, 32, 80, 48]]
    assert (result.names, result.size) == (("cat", "dog"), (64, 96))
    np.testing.assert_allclose(result.scores, [1, 0.5])


def test_the_whole_image_can_be_detected_in_too(file, image):
    detector = detkit.load(file, tiling={**TILES, "full_image": True})
    (result,) = detector.predict(image, threshold=0.15)
    assert [0, 0, 96, 64] in result.boxes.tolist()


def test_memory_holds_the_tiles_of_one_batch(file, image, monkeypatch):
    waiting, batches = [], []
    prepare, predict = ExportedBackend.prepare, ExportedBackend.predict

    def prepared(backend, tile):
        waiting.append(tile)
        return prepare(backend, tile)

    def predicted(backend, samples):
        batches.append((len(waiting), len(samples)))
        waiting.clear()
        return predict(backend, samples)

    monkeypatch.setattr(ExportedBackend, "prepare", prepared)
    monkeypatch.setattr(ExportedBackend, "predict", predicted)
    tiles = {**TILES, "batch_size": 4}
    results = detkit.load(file, tiling=tiles).predict([image] * 2, batch_size=2)
    assert batches == [(4, 4)] * 3
    assert [len(result) for result in results] == [2, 2]


def test_an_unreadable_image_ends_nothing(file, image):
    first, error, last = detkit.load(file, tiling=TILES).stream([image, b"no", image], batch_size=3)
    assert str(error) == "cannot read inputs[1]: not an image."
    assert (len(first), len(last)) == (2, 2)


@pytest.mark.slow
def test_it_is_measured_with_tiles(file, tmp_path):
    detector, words = detkit.load(file, tiling={"size": 8}), ["split=all", "data.workers=0"]
    data = write_data(tmp_path)
    assert detector.evaluate(data, overrides=words)["AP"] == 0  # no tile holds a whole object
    whole = detector.evaluate(data, overrides=[*words, "tiling={size: 640}"])
    assert whole == detkit.load(file).evaluate(data, overrides=words)


def test_a_tile_is_no_smaller_than_the_stride(file):
    backend = ExportedBackend(file)
    backend.stride = 16
    with pytest.raises(detkit.UserError, match=r"tiling\.size=8: .* needs 16 or more"):
        tiled_detector(backend, Tiling(size=8))


@pytest.fixture(scope="module")
def tiled(tiny_run: detkit.Run) -> Detector:
    return detkit.load(tiny_run.folder, device="cpu", overrides=GUESSES, tiling={"size": 256})


# pain 132
def test_one_tile_that_covers_the_image_changes_nothing(detector, tiled, photos):
    for result, expected in zip(
        tiled.predict(photos, threshold=0), detector.predict(photos, threshold=0), strict=True
    ):
        np.testing.assert_array_equal(result.boxes, expected.boxes)
        np.testing.assert_array_equal(result.scores, expected.scores)
        assert (result.names, result.path) == (expected.names, expected.path)


# pain 132
def test_one_tile_that_covers_the_image_measures_the_same(detector, tiled):
    assert tiled.evaluate() == detector.evaluate()


@pytest.mark.slow
def test_tiles_of_a_run_are_measured_and_predicted(tiny_run, photos):
    tiles = {"size": [64, 80], "overlap": 0.25, "merge": "matrix_nms", "full_image": True}
    detector = copy.deepcopy(
        detkit.load(tiny_run.folder, device="cpu", overrides=GUESSES, tiling=tiles)
    )
    (result,) = detector.predict(photos / "a.png", threshold=0)
    assert len(result) > 20  # of one tile
    assert (result.boxes <= [120, 90, 120, 90]).all()
    assert 0 <= detector.evaluate()["AP"] <= 1
