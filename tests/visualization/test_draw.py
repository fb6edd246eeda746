import numpy as np
import pytest
import torch
from PIL import Image

from detkit.structures import Detections, Target
from detkit.visualization.colours import IGNORED_COLOUR, class_colour
from detkit.visualization.draw import (
    Mark,
    detection_marks,
    draw_detections,
    draw_marks,
    draw_target,
    drawing_of,
    target_marks,
    text_size,
    to_picture,
)

CLASSES = ["cat", "dog"]
GREY = torch.full((3, 500, 600), 128, dtype=torch.uint8)


def found(*boxes, scores=None, labels=None):
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores or [0.9] * len(boxes)),
        torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
    )


def pixels(picture):
    return np.asarray(picture).astype(int)


def test_a_tensor_becomes_the_same_pixels():
    image = torch.randint(
        0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    picture = to_picture(image)
    assert picture.size == (7, 5)
    assert np.array_equal(pixels(picture), image.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "RGB"])
def test_other_pictures_become_rgb_copies(mode):
    original = Image.new(mode, (4, 4))
    copy = to_picture(original)
    assert copy.mode == "RGB"
    assert copy is not original


def test_the_line_has_the_colour_of_the_class_and_is_on_the_box():
    drawn = pixels(draw_detections(GREY, found([100, 200, 300, 400], labels=[1]), CLASSES))
    for row, column in ((250, 100), (250, 299), (399, 200)):
        assert tuple(drawn[row, column]) == class_colour(1)
    assert tuple(drawn[250, 350]) == (128, 128, 128)
    assert tuple(drawn[250, 97]) == (128, 128, 128)


def test_the_object_inside_a_box_is_not_painted_over():
    image = torch.randint(0, 256, GREY.shape, dtype=torch.uint8)
    drawn = pixels(draw_detections(image, found([100, 200, 300, 400]), CLASSES))
    assert np.array_equal(drawn[210:390, 110:290], pixels(to_picture(image))[210:390, 110:290])


def test_a_crowd_stays_visible_and_its_labels_are_counted():
    steps = torch.arange(0, 480, 20.0)
    corners = torch.cartesian_prod(steps, steps)
    crowd = found(*torch.cat([corners, corners + 18], dim=1).tolist())
    drawing = drawing_of(to_picture(GREY), detection_marks(crowd, CLASSES))
    inside = pixels(drawing.picture)[:480, :480].reshape(24, 20, 24, 20, 3)[:, 5:13, :, 5:13]
    unchanged = (inside == 128).all(axis=4).mean(axis=(1, 3))
    assert unchanged.min() > 0.5
    assert drawing.unlabelled > 400


def test_lines_of_small_boxes_are_thin():
    small, large = found([100, 100, 120, 120]), found([100, 100, 400, 400])
    left = [pixels(draw_detections(GREY, box, CLASSES))[110, 100:106] for box in (small, large)]
    counts = [(row == class_colour(0)).all(axis=1).sum() for row in left]
    assert counts == [1, 2]


def test_the_best_detection_is_on_top():
    two = found([100, 100, 300, 300], [100, 100, 300, 300], scores=[0.4, 0.8], labels=[0, 1])
    assert tuple(pixels(draw_detections(GREY, two, CLASSES))[200, 100]) == class_colour(1)
    assert [mark.text for mark in detection_marks(two, CLASSES)] == ["dog 0.80", "cat 0.40"]


def test_ignored_objects_are_dashed_and_grey():
    target = Target(torch.tensor([[50.0, 50, 250, 250]]), torch.tensor([1]), torch.tensor([True]))
    assert target_marks(target, CLASSES) == [Mark((50, 50, 250, 250), "dog", IGNORED_COLOUR, True)]
    edge = pixels(draw_target(GREY, target, CLASSES))[50:250, 50]
    share = np.mean([tuple(pixel) == IGNORED_COLOUR for pixel in edge])
    assert 0.3 < share < 0.7


def test_nothing_found_leaves_the_picture():
    assert np.array_equal(pixels(draw_detections(GREY, found(), CLASSES)), pixels(to_picture(GREY)))


def test_a_label_at_each_corner_stays_visible():
    corners = found([0, 0, 40, 30], [560, 0, 600, 30], [0, 470, 40, 500], [560, 470, 600, 500])
    plain = pixels(
        draw_marks(
            to_picture(GREY), [Mark(m.box, "", m.colour) for m in detection_marks(corners, CLASSES)]
        )
    )
    drawn = pixels(draw_detections(GREY, corners, CLASSES))
    changed = np.abs(drawn - plain).sum(axis=2) > 0
    quarters = [changed[:250, :300], changed[:250, 300:], changed[250:, :300], changed[250:, 300:]]
    areas = [int(quarter.sum()) for quarter in quarters]
    assert min(areas) > 0.7 * max(areas)


@pytest.mark.parametrize("size", [(1, 1), (8, 3), (3, 200), (64, 64)])
def test_tiny_pictures_are_enlarged_until_text_fits(size):
    width, height = size
    image = torch.zeros((3, height, width), dtype=torch.uint8)
    drawn = draw_detections(image, found([0, 0, width, height]), CLASSES)
    factor = drawn.width // width
    assert max(drawn.size) >= 448
    assert drawn.size == (factor * width, factor * height)
    right = tuple(pixels(drawn)[drawn.height // 2, drawn.width - 1])
    assert right == class_colour(0)


def test_large_pictures_keep_their_size_and_get_larger_letters():
    assert draw_detections(GREY, found(), CLASSES).size == (600, 500)
    assert text_size((4000, 3000)) == 4 * text_size((1000, 400))


@pytest.mark.parametrize("box", [[-50, -50, 900, 900], [10, 10, 10, 10], [700, 700, 800, 800]])
def test_boxes_outside_or_without_area_do_no_harm(box):
    drawn = pixels(draw_detections(GREY, found(box), CLASSES))
    assert drawn.shape == (500, 600, 3)
    assert (drawn != 128).any()


def test_letters_of_any_script():
    drawn = draw_detections(GREY, found([100, 100, 300, 300]), ["血小板 é"])
    assert drawn.size == (600, 500)


def test_bfloat16_detections_are_drawn_like_float32():
    one = found([96, 192, 304, 400], scores=[0.5])
    half = Detections(one.boxes.bfloat16(), one.scores.bfloat16(), one.labels)
    assert np.array_equal(*(pixels(draw_detections(GREY, d, CLASSES)) for d in (one, half)))
