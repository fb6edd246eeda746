import numpy as np
import pytest
import torch
from pycocotools import mask
from torchvision.models.detection.roi_heads import paste_masks_in_image

from detkit.structures import DetectionMasks, Outlines
from detkit.structures.encoded_masks import encode_window
from detkit.structures.mask_window import MaskWindow

SIZE = (37, 53)


def random_bitmap(seed, window=(slice(5, 30), slice(8, 50))):
    bitmap = np.zeros(SIZE, np.bool_)
    bitmap[window] = np.random.default_rng(seed).random(bitmap[window].shape) > 0.4
    return bitmap


def one_pixel(row, column):
    bitmap = np.zeros(SIZE, np.bool_)
    bitmap[row, column] = True
    return bitmap


BITMAPS = {
    "random": random_bitmap(0),
    "whole image": random_bitmap(1, (slice(None), slice(None))),
    "empty": np.zeros(SIZE, np.bool_),
    "full": np.ones(SIZE, np.bool_),
    "first pixel": one_pixel(0, 0),
    "last pixel": one_pixel(-1, -1),
}


@pytest.mark.parametrize("bitmap", BITMAPS.values(), ids=BITMAPS)
def test_runs_equal_those_of_the_whole_image(bitmap):
    window = MaskWindow.around(bitmap)
    assert np.array_equal(window.whole(), bitmap)
    assert encode_window(window) == mask.encode(np.asfortranarray(bitmap, np.uint8))["counts"]


@pytest.mark.parametrize("bitmap", BITMAPS.values(), ids=BITMAPS)
def test_polygons_hold_the_pixels_and_the_holes(bitmap):
    polygons = MaskWindow.around(bitmap).polygons(tolerance=0)
    filled = Outlines.of([[p.astype(np.float64) for p in polygons]]).bitmap(0, SIZE)
    holes = filled & ~bitmap
    assert filled[bitmap].all()
    padded = np.pad(holes, 1)  # a pixel in a hole touches no pixel outside
    outside = ~np.pad(filled, 1)
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        assert not (padded & np.roll(outside, shift, axis)).any()


def test_a_tolerance_saves_points():
    rows, columns = np.mgrid[:60, :60] + 0.5
    disc = (rows - 30) ** 2 + (columns - 30) ** 2 < 25**2
    window = MaskWindow.around(disc)
    (exact,), (short,) = window.polygons(0), window.polygons(0.5)
    assert len(short) < 0.6 * len(exact)
    drawn = Outlines.of([[short.astype(np.float64)]]).bitmap(0, (60, 60))
    assert (drawn & disc).sum() > 0.97 * (drawn | disc).sum()


def random_masks(seed, count=20):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand((count, 2), generator=generator) * 50 - 20
    sides = 22 + torch.rand((count, 2), generator=generator) * 60  # none is outside of the image
    maps = torch.rand((count, 14, 14), generator=generator)
    return DetectionMasks(maps, torch.cat([corners, corners + sides], 1), SIZE)


@pytest.mark.parametrize("seed", range(3))
def test_pasted_masks_equal_those_of_torchvision(seed):
    masks = random_masks(seed)
    theirs = paste_masks_in_image(masks.probabilities[:, None], masks.boxes, SIZE)[:, 0]
    ours = torch.stack([masks.pasted(n) for n in range(len(theirs))])
    assert torch.equal(ours, theirs)
    windows = np.stack([masks.window(n).whole() for n in range(len(theirs))])
    assert np.array_equal(windows, (theirs > 0.5).numpy())
    assert windows.any(axis=(1, 2)).all()


def test_encoded_masks_give_the_same_pixels():
    masks = random_masks(0)
    encoded = masks.encoded()
    for number, rle in enumerate(encoded.rle()):
        pixels = masks.bitmap(number).numpy()
        assert np.array_equal(mask.decode(rle).astype(np.bool_), pixels)
        assert np.array_equal(encoded.window(number).whole(), pixels)


def test_masks_are_selected_by_a_mask_or_by_positions():
    masks = random_masks(0)
    keep = torch.arange(20) % 3 == 1
    for select in (keep, keep.nonzero().flatten(), keep.numpy()):
        assert masks.select(select).encoded() == masks.encoded().select(select)
        assert len(masks.encoded().select(select).runs) == 7


@pytest.mark.parametrize("box", [[60.0, 5, 90, 20], [5, -40, 20, -10], [5, 5, torch.nan, 20]])
def test_a_box_without_pixels_of_the_image_has_an_empty_mask(box):
    masks = DetectionMasks(torch.ones(1, 14, 14), torch.tensor([box]), SIZE)
    assert not masks.window(0).whole().any()
    assert mask.area(masks.encoded().rle()).tolist() == [0]
