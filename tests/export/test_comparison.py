import numpy as np
import pytest

from detkit.export.comparison import TOLERANCES, Comparison


def padded(*scores, shift=0.0, labels=None, width=4):
    """The outputs of one image: a box of 10 pixels at 20 times its position for each score."""
    count = len(scores)
    left = 20.0 * np.arange(count)[:, None]
    boxes = np.zeros((1, width, 4), np.float32)
    boxes[0, :count] = np.hstack([left, left, left + 10, left + 10]) + shift
    values = np.zeros((1, width), np.float32)
    values[0, :count] = scores
    names = np.zeros((1, width), np.int64)
    names[0, :count] = labels or [0] * count
    return [boxes, values, names, np.array([count])]


def compared(expected, actual, precision="fp32"):
    comparison = Comparison(TOLERANCES[precision])
    comparison.add(expected, actual)
    return comparison


def test_equal_outputs_with_another_padding_are_close():
    comparison = compared(padded(0.9, 0.8), padded(0.9, 0.8, width=9))
    assert (comparison.rows, comparison.different) == (2, 0)
    assert comparison.is_close


def test_the_largest_differences_are_kept():
    comparison = compared(padded(0.9, 0.8), padded(0.9005, 0.8, shift=0.05))
    assert comparison.different == 0
    assert comparison.pixels == pytest.approx(0.05, abs=1e-5)
    assert comparison.score == pytest.approx(0.0005, abs=1e-5)


def test_detections_in_another_order_are_the_same():
    expected, actual = padded(0.5, 0.5), padded(0.5, 0.5)
    for output in actual[:3]:
        output[0, :2] = output[0, [1, 0]]
    assert compared(expected, actual).different == 0


@pytest.mark.parametrize(
    "actual",
    [
        padded(0.9),
        padded(0.9, 0.8, 0.7),
        padded(0.9, 0.5),
        padded(0.9, 0.8, labels=[0, 1]),
    ],
    ids=["missing", "additional", "score", "class"],
)
def test_one_detection_that_differs_is_counted(actual):
    comparison = compared(padded(0.9, 0.8), actual)
    assert comparison.different == 1
    assert not comparison.is_close


def test_a_box_that_moves_differs_in_fp32_and_not_in_int8():
    pair = padded(0.9), padded(0.9, shift=3.0)
    assert compared(*pair).different == 1
    assert compared(*pair, "int8").different == 0


def with_masks(*values):
    """Two detections with masks of these probabilities."""
    maps = np.ones((1, 4, 7, 7), np.float32)
    maps[0, :2] = np.array(values, np.float32)[:, None, None]
    return [*padded(0.9, 0.8), maps]


def test_masks_are_compared_where_there_are_detections():
    comparison = compared(with_masks(0.5, 0.4), with_masks(0.505, 0.4))
    assert (comparison.different, comparison.mask) == (0, pytest.approx(0.005, abs=1e-6))
    assert comparison.text().endswith("and 0.005 in their masks")
    other_padding = with_masks(0.5, 0.4)
    other_padding[4][0, 2:] = 0
    assert compared(with_masks(0.5, 0.4), other_padding).mask == 0


# pain 90
@pytest.mark.parametrize(
    "actual",
    [with_masks(0.5, 0.42), [*padded(0.9, 0.8), np.ones((1, 4, 5, 5))]],
    ids=["values", "size"],
)
def test_a_mask_that_differs_is_a_detection_that_differs(actual):
    assert compared(with_masks(0.5, 0.4), actual).different > 0


# pain 90
def test_missing_masks_differ():
    assert compared(with_masks(0.5, 0.4), padded(0.9, 0.8)).different == 2


def test_raw_outputs_are_compared_row_by_row():
    boxes, scores = np.zeros((2, 5, 4)), np.zeros((2, 5, 3))
    moved = boxes.copy()
    moved[1, 2, 3] = 1.0
    comparison = compared([boxes, scores], [moved, scores])
    assert (comparison.rows, comparison.different) == (10, 1)


def test_outputs_of_another_shape_differ_everywhere():
    boxes, scores = np.zeros((2, 5, 4)), np.zeros((2, 5, 3))
    comparison = compared([boxes, scores], [boxes[:1], scores[:1]])
    assert comparison.different == comparison.rows == 10


def test_images_without_detections_are_close():
    assert compared(padded(), padded()).is_close
