"""Channels and value ranges: which images a data set takes, and what they become."""

import numpy as np
import pytest

from detkit.pixels.pixel_format import RGB8, PixelFormat, PixelFormatError

DEEP = PixelFormat(2, (0, 1000))
RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_a_value_range_maps_black_to_0_and_white_to_255_without_rounding():
    values = np.array([[[-5.0, 250.5], [1000, np.nan], [2000, 0]]])
    levels = DEEP.convert(values, is_picture=False)
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, [[[0, 63.8775], [255, 0], [255, 0]]], rtol=1e-6)


def test_images_of_8_bits_keep_their_values_with_a_value_range():
    levels = PixelFormat(3, (0, 65535)).convert(RGB, is_picture=True)
    assert levels.dtype == np.float32
    assert np.array_equal(levels, RGB)


def test_masks_become_black_and_white():
    values = np.array([[[True], [False]]])
    assert PixelFormat(1).convert(values, is_picture=False).ravel().tolist() == [255, 0]


def test_grey_becomes_rgb_and_colours_become_grey():
    grey = np.full((1, 1, 1), 7, np.uint8)
    assert RGB8.convert(grey, is_picture=True).tolist() == [[[7, 7, 7]]]
    colours = np.array([[[100, 50, 200]]], np.uint8)
    assert PixelFormat(1).convert(colours, is_picture=True).tolist() == [[[82]]]


def test_transparency_of_pictures_is_dropped():
    picture = np.dstack([RGB, RGB[..., :1]])
    assert np.array_equal(RGB8.convert(picture, is_picture=True), RGB)


@pytest.mark.parametrize(
    ("pixels", "shape", "text"),
    [
        (RGB8, (5, 6, 4), r"has 4 channels, and data.channels is 3$"),
        (PixelFormat(4), (5, 6, 3), r"has 3 channels, and data.channels is 4$"),
        (PixelFormat(4), (4, 5, 6), r"looks like channels first: save it as \(H, W, 4\)"),
        (PixelFormat(1), (5, 6, 3), r"has 3 channels, and data.channels is 1$"),
    ],
)
def test_other_channels_are_refused(pixels, shape, text):
    with pytest.raises(PixelFormatError, match=text):
        pixels.convert(np.zeros(shape, np.uint8), is_picture=False)


@pytest.mark.parametrize(
    ("values", "suggestion"),
    [
        (np.zeros((1, 1, 3), np.uint16), r"uint16 values.*\[0,65535\]"),
        (np.full((1, 1, 3), 0.5), r"float64 values.*\[0,1\]"),
        (np.full((1, 1, 3), 4095.0), r"\[0,4095\]"),
    ],
)
def test_more_than_8_bits_need_a_value_range(values, suggestion):
    with pytest.raises(PixelFormatError, match=suggestion):
        RGB8.convert(values, is_picture=False)


def test_the_format_of_a_run_comes_from_its_data_or_else_from_its_model():
    data = {"channels": 4, "value_range": [0, 10]}
    assert PixelFormat.of({"data": data}) == PixelFormat(4, (0, 10))
    assert PixelFormat.of({"data": {}}) == RGB8  # an older run
    assert PixelFormat.of({"model": {"pixel_mean": [1, 2]}}) == PixelFormat(2)
