import numpy as np
import pytest
import torch
from PIL import Image

from detkit.structures import Detections, Target
from detkit.visualization.colours import class_colour
from detkit.visualization.panels import (
    draw_with_legend,
    montage,
    resized,
    side_by_side,
    with_footer,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


def count(picture, colour):
    return int((np.asarray(picture) == colour).all(axis=2).sum())


def pair(**changes):
    image = torch.zeros((3, 100, 200), dtype=torch.uint8)
    target = Target(torch.tensor([[10.0, 10, 90, 90]]), torch.tensor([0]), torch.tensor([False]))
    found = Detections(torch.tensor([[110.0, 10, 190, 90]]), torch.ones(1), torch.tensor([1]))
    return side_by_side(image, target, found, ["cat", "dog"], **changes)


def test_objects_are_left_and_detections_right():
    sheet = pair()
    body = sheet.crop((0, 0, sheet.width, sheet.height - 28))  # without the legend
    left = body.crop((0, 0, sheet.width // 2, body.height))
    right = body.crop((sheet.width // 2, 0, sheet.width, body.height))
    assert count(left, class_colour(0)) > 500
    assert count(left, class_colour(1)) == 0
    assert count(right, class_colour(1)) > 500
    assert count(right, class_colour(0)) == 0


def test_the_legend_shows_the_classes_in_the_picture():
    sheet = pair()
    legend = sheet.crop((0, sheet.height - 28, sheet.width, sheet.height))
    assert count(legend, class_colour(0)) > 50
    assert count(legend, class_colour(1)) > 50
    assert count(legend, class_colour(2)) == 0


def test_pictures_of_a_pair_have_one_size_whatever_the_image():
    assert pair().size == (12 + 2 * (720 + 12), 12 + (360 + 28 + 12) + 28)


def test_a_grid_holds_every_picture_whole():
    pictures = [Image.new("RGB", size, RED) for size in ((30, 20), (10, 40), (20, 20))]
    sheet = montage(pictures, ["a", "b", ""], columns=2)
    assert sheet.size == (12 + 2 * (30 + 12), 12 + 2 * (40 + 28 + 12))
    assert count(sheet, RED) == 30 * 20 + 10 * 40 + 20 * 20


@pytest.mark.parametrize(("pictures", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3)])
def test_a_grid_is_about_square(pictures, columns):
    sheet = montage([Image.new("RGB", (50, 10))] * pictures, [""] * pictures)
    assert sheet.width == 12 + columns * 62


def test_no_captions_take_no_room():
    assert montage([Image.new("RGB", (50, 10))], [""]).height == 10 + 24


def test_a_long_caption_leaves_the_legend_its_room():
    names = {f"class {i} of nine": (RED, BLUE)[i % 2] for i in range(9)}
    footed = with_footer(Image.new("RGB", (400, 50)), "/a/long/path" * 30 + "/x.png", names)
    assert count(footed.crop((200, 50, 400, 78)), RED) > 50
    assert count(footed, BLUE) == 0  # one name fits into half of the width
    shorter = with_footer(Image.new("RGB", (400, 50)), "", names)
    assert np.array_equal(footed.crop((250, 50, 400, 78)), shorter.crop((250, 50, 400, 78)))


def test_a_long_caption_keeps_its_end():
    sheet = Image.new("RGB", (300, 50))
    ends = [
        with_footer(sheet, "/long/path" * n + "/x.png").crop((200, 50, 300, 78)) for n in (9, 10)
    ]
    assert np.array_equal(*ends)


def test_nothing_to_say_adds_nothing():
    sheet = Image.new("RGB", (40, 50))
    assert with_footer(sheet, "") is sheet


def test_resizing_says_its_factor():
    picture, factor = resized(Image.new("RGB", (200, 50)), 100)
    assert (picture.size, factor) == ((100, 25), 0.5)
    assert resized(Image.new("RGB", (1000, 1)), 100)[0].size == (100, 1)


def test_a_legend_explains_the_colours_where_labels_had_to_be_left_out():
    image = torch.zeros((3, 500, 600), dtype=torch.uint8)
    steps = torch.arange(0, 480, 20.0)
    corners = torch.cartesian_prod(steps, steps)
    number = len(corners)
    crowd = Detections(
        torch.cat([corners, corners + 18], dim=1), torch.ones(number), torch.arange(number) % 2
    )
    assert draw_with_legend(image, crowd, ["cat", "dog"]).height == 500 + 28
    few = Detections(*(value[:1] for value in crowd))
    assert draw_with_legend(image, few, ["cat", "dog"]).height == 500


def test_the_legend_begins_with_the_most_frequent_class(monkeypatch):
    monkeypatch.setattr(
        "detkit.visualization.panels.with_footer", lambda sheet, note, colours: list(colours)
    )
    boxes = torch.tensor([[0.0, 0, 30, 30]]).repeat(90, 1)
    labels = torch.tensor([0, 1, 1, 2, 2, 2, 1, 1, 1] * 10)
    detections = Detections(boxes, torch.ones(90), labels)
    image = torch.zeros((3, 40, 40), dtype=torch.uint8)
    assert draw_with_legend(image, detections, ["cat", "dog", "fox"]) == ["dog", "fox", "cat"]
