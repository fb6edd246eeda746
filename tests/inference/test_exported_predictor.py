"""Images become what a graph takes, and boxes come back to the original images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exported_files import MODEL

from detkit.data.transforms.resizing import Letterbox, Resize, ResizeExact
from detkit.errors import UserError
from detkit.inference.engines.contract import PaddedArrays
from detkit.inference.exported_images import PreparedImage, prepare_image, require_numpy_transforms
from detkit.inference.exported_predictor import ExportedPredictor
from detkit.structures import DetectionArrays, Detections, Sample, Target

RANDOM = np.random.default_rng(0)


class FakeEngine:
    """One box an image, the whole canvas; its score the mean of the first channel."""

    device, description = "cpu", "fake"

    def __init__(self, **changes):
        self.model = replace(MODEL, padding=(10.0, 20.0, 30.0), **changes)
        self.batches = []

    def __call__(self, images):
        self.batches.append(images)
        count, _, height, width = images.shape
        boxes = np.tile(np.array([0, 0, width, height], np.float32), (count, 1, 1))
        scores = images[:, :1].mean(axis=(2, 3)) / 255
        ones = np.ones(count, np.int64)
        return PaddedArrays(boxes, scores, np.zeros((count, 1), np.int64), ones)


def image(height, width, grey=100):
    return PreparedImage(np.full((height, width, 3), grey, np.uint8), (height, width), np.eye(3))


def predict(images, **changes):
    engine = FakeEngine(**changes)
    return ExportedPredictor(engine, "model.onnx").predict(images), engine.batches


def test_images_of_one_size_share_a_batch_and_others_do_not():
    results, batches = predict([image(4, 8, 50), image(6, 8, 100), image(4, 8, 150)])
    assert [batch.shape for batch in batches] == [(2, 3, 4, 8), (1, 3, 6, 8)]
    assert [round(float(result.scores[0]) * 255) for result in results] == [50, 100, 150]


def test_images_are_padded_to_a_multiple_with_the_colour_of_nothing():
    (result,), (batch,) = predict([image(5, 6)], pad_multiple=4)
    assert batch.shape == (1, 3, 8, 8)
    assert (batch[0, :, :5, :6] == 100).all()
    assert batch[0, :, 7, 7].tolist() == batch[0, :, 0, 7].tolist() == [10, 20, 30]
    assert result.boxes.tolist() == [[0, 0, 6, 5]]  # clipped to the image


def test_a_fixed_size_is_filled():
    _, (batch,) = predict([image(5, 6)], size=(8, 12))
    assert batch.shape == (1, 3, 8, 12)


def test_an_image_larger_than_a_fixed_size_is_refused():
    with pytest.raises(UserError, match=r"takes images of 8 x 12 .* one is 5 x 13 after resizing"):
        predict([image(5, 13)], size=(8, 12))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_fixed_batch_is_filled_with_blank_images(count):
    results, batches = predict([image(4, 4, 10 * n) for n in range(count)], batch=2)
    assert {batch.shape for batch in batches} == {(2, 3, 4, 4)}
    assert [round(float(r.scores[0]) * 255) for r in results] == [10 * n for n in range(count)]


def test_no_images_give_no_results():
    assert predict([]) == ([], [])


TRANSFORMS = [
    ({"short_side": 40, "long_side": 90, "multiple": 1, "enlarge": True}, Resize),
    ({"short_side": 30, "long_side": None, "multiple": 8, "enlarge": True}, Resize),
    ({"height": 30, "width": 70}, ResizeExact),
    ({"height": 40, "width": 90, "centred": True, "enlarge": True, "fill": 9}, Letterbox),
]
NAMES = {Resize: "resize", ResizeExact: "resize_exact", Letterbox: "letterbox"}


def by_torch(pixels, part):
    sample = Sample(
        torch.from_numpy(pixels).permute(2, 0, 1), Target.empty(), Target.empty(), 0, "", (0, 0)
    )
    return part(sample, torch.Generator())


@pytest.mark.parametrize(("settings", "factory"), TRANSFORMS)
@pytest.mark.parametrize("size", [(33, 57), (57, 33), (300, 200)])
# pain 88
def test_images_are_prepared_as_the_transforms_do(settings, factory, size):
    pixels = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    node = {"name": NAMES[factory], **settings}
    prepared = prepare_image(pixels, replace(MODEL, resize={"size": node}))
    sample = by_torch(pixels, factory(**settings))
    np.testing.assert_array_equal(prepared.pixels, sample.image.permute(1, 2, 0).numpy())
    np.testing.assert_allclose(prepared.to_image, sample.to_image.numpy(), rtol=1e-12)
    one_box = torch.tensor([[3.0, 4.0, 25.0, 20.0]]), torch.ones(1), torch.zeros(1).long()
    expected = Detections(*one_box).to_original(sample.to_image, size).boxes.numpy()
    arrays = DetectionArrays(*(values.numpy() for values in one_box))
    boxes = arrays.to_original(prepared.to_image, size).boxes
    np.testing.assert_allclose(boxes, expected, atol=1e-4)


@pytest.mark.parametrize("node", [{"name": "grayscale"}, {"name": "resize", "short_side": 3}])
# pain 88
def test_a_transform_that_numpy_cannot_do_is_refused(node):
    with pytest.raises(UserError, match=rf"model.onnx: its images need .*'{node['name']}'"):
        require_numpy_transforms(replace(MODEL, resize={"a": node}), "model.onnx")


def test_an_engine_that_fails_is_explained_in_one_line(monkeypatch):
    def fail(engine, images):
        raise RuntimeError("Guard failed:\n size 4")

    monkeypatch.setattr(FakeEngine, "__call__", fail)
    with pytest.raises(UserError, match=r"cannot run on images of 1 x 3 x 4 x 4 \(Guard failed: s"):
        predict([image(4, 4)])
