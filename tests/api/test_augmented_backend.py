"""Test-time augmentation: boxes of painted rectangles come back through the real pipeline."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exported_files import MODEL, write_data, write_onnx

import detkit
from detkit.api.augmented_backend import AugmentedBackend
from detkit.api.exported_backend import ExportedBackend
from detkit.api.run_backend import open_run
from detkit.inference.augmented_views import views_of
from detkit.inference.merging import Merging
from detkit.structures.arrays import DetectionArrays

BOX = [13, 7, 40, 29]
RESIZE = {"name": "resize", "short_side": 57, "long_side": 99, "multiple": 1, "enlarge": True}
LETTERBOX = {"name": "letterbox", "height": 96, "width": 80, "centred": True, "enlarge": True}
VIEWS = {"flip": True, "scales": [0.7, 1.0, 1.3]}


def painted(size):
    """A black image with a white rectangle at BOX."""
    image = np.zeros((*size, 3), np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return image


def rectangle_in(pixels):
    """The bright rectangle (4,) of (H, W) pixels, to a fraction of a pixel by its brightness."""
    columns, rows = pixels.max(0) / 255, pixels.max(1) / 255
    sides = []
    for profile in (columns, rows):
        first = int((profile > 0.2).argmax())
        middle = first + 2
        start = middle - profile[:middle].sum()
        sides.append((start, start + profile.sum()))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


def arrays(box):
    return DetectionArrays(
        np.array([box], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
    )


class FindsRectangle:
    """Stands for the network of a run: finds the white rectangle in what it sees."""

    def __init__(self):
        self.sizes = []

    def predict(self, samples):
        self.sizes += [sample.size for sample in samples]
        found = [arrays(rectangle_in(sample.image[0].numpy().astype(float))) for sample in samples]
        moved = (
            detections.to_original(sample.to_image.numpy(), sample.original_size)
            for detections, sample in zip(found, samples, strict=True)
        )
        return [detkit_detections(detections) for detections in moved]


def detkit_detections(detections):
    from detkit.structures import Detections

    return Detections(*map(torch.from_numpy, detections))


@pytest.fixture
def file(tmp_path):
    pytest.importorskip("onnxruntime")
    return write_onnx(tmp_path / "model.onnx", replace(MODEL, resize={"fit": RESIZE}))


# pain 136
def test_views_of_a_run_agree_on_a_painted_rectangle(tiny_run):
    words = ["augmentation.evaluation.resize.short_side=57"]
    backend = open_run(str(tiny_run.folder), "cpu", words)
    backend._predictor = network = FindsRectangle()
    augmented = detkit.Detector(AugmentedBackend(backend, views_of(VIEWS), Merging("none")))
    (result,) = augmented.predict(painted((33, 101)))
    assert len(result) == 6
    assert len(set(network.sizes)) == 3
    np.testing.assert_allclose(result.boxes, [BOX] * 6, atol=0.15)


@pytest.mark.parametrize("size", [(61, 83), (33, 101)])
@pytest.mark.parametrize("node", [RESIZE, {**LETTERBOX, "fill": 0}], ids=["resize", "letterbox"])
# pain 136
def test_views_of_a_file_agree_on_a_painted_rectangle(tmp_path, monkeypatch, size, node):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "m.onnx", replace(MODEL, resize={"fit": node}, pad_multiple=32))
    detector = detkit.load(path, tta=VIEWS, merge="none")
    monkeypatch.setattr(
        "detkit.inference.exported_predictor.ExportedPredictor.run",
        lambda self, images: (arrays(rectangle_in(image[0])) for image in images),
    )
    (result,) = detector.predict(painted(size))
    np.testing.assert_allclose(result.boxes, [BOX] * 6, atol=0.15)


def test_views_are_merged_into_one_detection(file):
    white = np.full((61, 83, 3), 255, np.uint8)
    (result,) = detkit.load(file, tta=VIEWS).predict(white)
    assert result.boxes[0].tolist() == [0, 0, 83, 61]
    np.testing.assert_allclose(result.scores[0], 1)


def test_a_file_of_one_size_takes_flips_but_no_scales(tmp_path):
    pytest.importorskip("onnxruntime")
    node = {**LETTERBOX, "fill": 0}
    path = write_onnx(tmp_path / "m.onnx", replace(MODEL, resize={"a": node}, size=(96, 80)))
    assert len(detkit.load(path, tta={"flip": True}).predict(painted((50, 60)), threshold=0)[0])
    with pytest.raises(detkit.UserError, match=r"takes images of 96 x 80 .* size=dynamic, or"):
        detkit.load(path, tta={"scales": [1, 1.2]})


def test_an_unreadable_image_ends_nothing(file):
    detector = detkit.load(file, tta={"flip": True})
    first, error, last = detector.stream([painted((50, 60)), b"no", painted((50, 60))])
    assert str(error) == "cannot read inputs[1]: not an image."
    assert first.size == last.size == (50, 60)


def test_masks_are_dropped_with_a_note(tmp_path):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "m.onnx", replace(MODEL, mask_size=4))
    backend = AugmentedBackend(ExportedBackend(path), views_of({"flip": True}), Merging())
    assert backend.notes == [f"{path} detects masks; boxes are merged alone"]
    (result,) = detkit.Detector(backend).predict(np.full((30, 40, 3), 255, np.uint8))
    assert result.masks is None


@pytest.mark.slow  # tests/api/test_merged_backend.py measures too
def test_it_is_measured_on_data(tmp_path):
    pytest.importorskip("onnxruntime")
    file = write_onnx(tmp_path / "m.onnx")
    detector = detkit.load(file, tta={"flip": True})
    metrics = detector.evaluate(write_data(tmp_path), overrides=["split=all", "data.workers=0"])
    assert metrics["AP"] == 1
    with pytest.raises(detkit.UserError, match=r"'tta=null' changes a detector that is loaded"):
        detector.evaluate(tmp_path, overrides=["tta=null"])


@pytest.mark.slow
def test_views_can_be_chosen_for_an_evaluation_alone(tiny_run, tmp_path):
    words = ["split=all", "data.workers=0", "tta={flip: true}", "merge=none"]
    file = write_onnx(tmp_path / "m.onnx")
    metrics = detkit.load(file).evaluate(write_data(tmp_path), overrides=words)
    assert 0.5 < metrics["AP"] < 1  # each object is detected twice, since nothing merges the views
    run = detkit.load(tiny_run.folder, device="cpu")
    assert 0 <= run.evaluate(overrides=["tta={flip: true}"])["AP"] <= 1
    with pytest.raises(detkit.UserError, match="merge=nms: there is nothing to merge"):
        run.evaluate(overrides=["merge=nms"])


def test_each_tile_is_seen_in_all_views(tmp_path):
    pytest.importorskip("onnxruntime")
    file, tiles = write_onnx(tmp_path / "m.onnx"), {"size": 32, "overlap": 0, "merge": "none"}
    bright = np.zeros((64, 96, 3), np.uint8)
    bright[32:, 64:] = 255
    detector = detkit.load(file, tta={"flip": True}, merge="none", tiling=tiles)
    (result,) = detector.predict(bright)
    mirrored, plain = [64 + 16, 32, 96, 48], [64, 32, 80, 48]
    assert sorted(result.boxes.tolist()) == sorted([[64, 32, 96, 64]] * 2 + [plain, mirrored])
