"""Masks pasted in NumPy equal those that PyTorch pastes."""

import sys

import numpy as np
import pytest
import torch

from detkit.errors import UserError
from detkit.structures import DetectionArrays, DetectionMasks, Detections
from detkit.structures.mask_arrays import MaskArrays, resized_map
from detkit.structures.mask_placement import MaskPlacement

SIZE = (37, 53)
CLEAR = 1e-6  # distance of a probability from the threshold


def random_masks(seed, count=30, side=28):
    """Boxes of all sizes, some of which reach beyond the image or are outside of it."""
    random = np.random.default_rng(seed)
    low = random.uniform(-30, 60, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(0, 90, (count, 2))], axis=1)
    maps = random.random((count, side, side), np.float32)
    return MaskArrays(maps, boxes.astype(np.float32), SIZE)


# pain 88
@pytest.mark.parametrize(("seed", "side"), [(0, 28), (1, 14), (2, 7)])
def test_probabilities_equal_those_of_pytorch(seed, side):
    masks = random_masks(seed, side=side)
    pasted = DetectionMasks.of(masks)
    for position, (values, box) in enumerate(zip(masks.probabilities, masks.boxes, strict=True)):
        place = MaskPlacement.of(box, side, SIZE)
        expected = pasted.pasted(position).numpy()
        np.testing.assert_allclose(
            resized_map(values, place), expected[place.rows, place.columns], rtol=0, atol=1e-6
        )
        is_clear = np.abs(expected - 0.5) > CLEAR
        pixels = masks.window(position).whole()
        assert np.array_equal(pixels[is_clear], (expected > 0.5)[is_clear])


def test_selected_masks_are_encoded_as_in_pytorch():
    masks = random_masks(3)
    keep = np.arange(30) % 3 == 0
    encoded = masks.select(keep).encoded()
    assert len(encoded.runs) == 10
    assert encoded == DetectionMasks.of(masks).select(keep).encoded()


@pytest.mark.parametrize("box", [[60.0, 5, 90, 20], [5, -40, 20, -10], [5, 5, np.nan, 20]])
def test_a_box_without_pixels_of_the_image_has_an_empty_mask(box):
    masks = MaskArrays(np.ones((1, 14, 14), np.float32), np.array([box], np.float32), SIZE)
    assert not masks.window(0).whole().any()


def test_boxes_are_clipped_to_the_original_image_and_masks_are_not():
    boxes = np.array([[-4.0, 2, 20, 30]], np.float32)
    masks = MaskArrays(np.ones((1, 7, 7), np.float32), boxes, (32, 32))
    columns = boxes, np.ones(1, np.float32), np.zeros(1, np.int64)
    arrays = DetectionArrays(*columns).with_masks(masks)
    to_image = np.diag([0.5, 0.5, 1])
    moved = arrays.to_original(to_image, (50, 60))
    assert moved.boxes.tolist() == [[0, 4, 40, 50]]
    assert moved.masks.boxes.tolist() == [[-8, 4, 40, 60]]
    assert moved.masks.size == (50, 60)
    expected = Detections.of(arrays).to_original(torch.from_numpy(to_image), (50, 60))
    assert expected.boxes.tolist() == moved.boxes.tolist()
    assert expected.masks.boxes.tolist() == moved.masks.boxes.tolist()
    assert expected.masks.size == moved.masks.size


@pytest.mark.parametrize(
    ("package", "convert", "message"),
    [
        ("pycocotools", MaskArrays.encoded, "pip install pycocotools"),
        ("cv2", lambda masks: masks.window(0).polygons(0.5), "pip install opencv-python-headless"),
    ],
)
def test_a_missing_package_is_named(package, convert, message, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=message):
        convert(random_masks(4, count=1))
