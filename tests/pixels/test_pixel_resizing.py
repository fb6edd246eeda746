"""Resized pixels equal PyTorch's, bit by bit."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from detkit.pixels.resizing import Fit, fit_letterbox, fit_short_side, place_pixels, resize_pixels

RANDOM = np.random.default_rng(0)
# Elsewhere torchvision converts to float32, whose rounding differs.
needs_integers = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="PyTorch resizes integers on CPUs with AVX2",
)


def by_torch(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    return F.resize_image(image, list(size), antialias=True).permute(1, 2, 0).numpy()


@needs_integers
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((48, 64), (41, 55)),
        ((48, 64), (80, 107)),
        ((48, 64), (48, 31)),
        ((48, 64), (24, 64)),
        ((300, 700), (17, 23)),  # weights of more than 16 bits
        ((1, 1), (5, 7)),
        ((30, 50), (1, 1)),
        ((9, 1000), (640, 3)),
    ],
)
# pain 88
def test_pixels_equal_those_of_pytorch(before, after):
    pixels = RANDOM.integers(0, 256, (*before, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_pixels(pixels, after), by_torch(pixels, after))


@needs_integers
# pain 88
def test_pixels_equal_those_of_pytorch_for_random_sizes():
    for _ in range(60):
        height, width, *size = (int(side) for side in np.exp(RANDOM.uniform(0, 6, 4)))
        pixels = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
        np.testing.assert_array_equal(resize_pixels(pixels, tuple(size)), by_torch(pixels, size))


def test_a_constant_image_stays_constant():
    for size in ((13, 900), (7, 5), (200, 1)):
        assert (resize_pixels(np.full((60, 50, 3), 255, np.uint8), size) == 255).all()


def test_a_fitting_canvas_needs_no_copy():
    pixels = np.zeros((4, 5, 3), np.uint8)
    assert place_pixels(pixels, Fit((4, 5), (4, 5)), 7) is pixels


def test_a_canvas_is_filled_around_the_image():
    canvas = place_pixels(np.zeros((2, 3, 3), np.uint8), Fit((2, 3), (4, 5), 1, 2), 114)
    assert (canvas[2:4, 1:4] == 0).all()
    assert (canvas == 114).all(axis=2).sum() == 4 * 5 - 2 * 3


def test_the_long_side_limits_the_short_one():
    rule = {"short_side": 100, "long_side": 150, "multiple": 1, "enlarge": True}
    assert fit_short_side((50, 60), **rule).inner == (100, 120)
    assert fit_short_side((50, 100), **rule).inner == (75, 150)
    assert fit_short_side((50, 60), **{**rule, "enlarge": False}).inner == (50, 60)


def test_a_letterbox_keeps_the_ratio_of_the_sides():
    fit = fit_letterbox((50, 100), height=64, width=64, centred=True, enlarge=True)
    assert fit == Fit((32, 64), (64, 64), 0, 16)
    fit = fit_letterbox((50, 20), height=64, width=64, centred=False, enlarge=False)
    assert fit == Fit((50, 20), (64, 64), 0, 0)


@needs_integers
@pytest.mark.parametrize("size", [(13, 50), (61, 20)])
@pytest.mark.parametrize("channels", [1, 4, 5])
def test_any_channels_and_floating_point_are_resized_as_by_pytorch(channels, size):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (37, 41, channels), dtype=np.uint8)
    for values, tolerance in ((pixels, 0), (pixels.astype(np.float32), 1e-3)):
        expected = by_torch(values, size)
        result = resize_pixels(values, size)
        assert result.dtype == values.dtype
        np.testing.assert_allclose(result, expected, atol=tolerance, rtol=0)
