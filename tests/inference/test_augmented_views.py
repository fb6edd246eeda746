"""Views of an image: settings, sizes of scaled inputs, and boxes on their way back."""

import numpy as np
import pytest

from detkit.errors import UserError
from detkit.inference.augmented_views import (
    AugmentedViews,
    View,
    require_scales,
    scaled_steps,
    views_of,
)
from detkit.structures.arrays import DetectionArrays

RESIZE = {"name": "resize", "short_side": 60, "long_side": 100, "multiple": 1, "enlarge": False}
LETTERBOX = {
    "name": "letterbox",
    "height": 64,
    "width": 64,
    "centred": True,
    "enlarge": True,
    "fill": 9,
}


def test_a_flip_doubles_the_views_of_each_scale():
    views = views_of({"flip": True, "scales": [0.8, 1]})
    assert list(views) == [View(0.8, False), View(0.8, True), View(1, False), View(1, True)]
    assert views.changes_size
    assert not AugmentedViews(flip=True).changes_size


def test_mirrored_boxes_come_back():
    boxes = np.array([[1, 2, 4, 5]], np.float32)
    detections = DetectionArrays(boxes, np.ones(1, np.float32), np.zeros(1, np.int64))
    assert View(1, True).back(detections, (9, 11)).boxes.tolist() == [[7, 2, 10, 5]]
    assert View(1, False).back(detections, (9, 11)).boxes.tolist() == [[1, 2, 4, 5]]


def test_small_images_are_scaled_although_the_run_does_not_enlarge_them():
    steps = scaled_steps({"fit": RESIZE}, (31, 45), 1.2, 1)
    assert steps == {"fit": {"name": "resize_exact", "height": 37, "width": 54}}


def test_a_letterbox_and_its_canvas_grow():
    steps = scaled_steps({"fit": LETTERBOX}, (31, 45), 1.2, 32)
    inner, canvas = steps.values()
    assert (inner["height"], inner["width"]) == (53, 77)  # 44 x 64 at scale 1
    assert (canvas["height"], canvas["width"], canvas["fill"]) == (96, 96, 9)


def test_only_the_last_resizing_step_changes():
    first = {"name": "resize_exact", "height": 20, "width": 30}
    grey = {"name": "grey"}
    steps = scaled_steps({"a": first, "off": None, "b": RESIZE, "c": grey}, (99, 99), 0.5, 1)
    assert steps["a"] == first
    assert steps["b"] == {"name": "resize_exact", "height": 10, "width": 15}
    assert steps["c"] == grey
    require_scales({"b": RESIZE, "c": grey}, "run")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, r"tta=True: expected a mapping such as tta=\{flip: true, scales: "),
        ({"flips": True}, r"tta.flips: there is no such setting. Did you mean 'flip'"),
        ({"flip": 1}, r"tta.flip=1: expected true or false"),
        ({"scales": [1, 0]}, r"tta.scales=\[1, 0\]: expected a list of numbers above 0, up to 4"),
        ({"scales": 1.2}, r"tta.scales=1.2: expected a list"),
        ({"scales": [1, 1.0]}, r"a scale occurs twice"),
        ({"scales": [1.0]}, r"adds no view: set flip or scales"),
    ],
)
def test_wrong_settings_are_explained(value, message):
    with pytest.raises(UserError, match=message):
        views_of(value)


@pytest.mark.parametrize(
    ("steps", "text"),
    [({}, "no transform"), ({"c": {"name": "crop"}, "r": RESIZE}, "crop, resize")],
)
def test_scales_need_a_size_to_change(steps, text):
    with pytest.raises(UserError, match=rf"the images of my run go through {text}, and scales"):
        require_scales(steps, "my run")
