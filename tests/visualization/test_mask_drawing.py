import numpy as np
import torch
from PIL import Image

from detkit.structures import DetectionMasks, Detections, Outlines, Target
from detkit.visualization.colours import class_colour
from detkit.visualization.draw import draw_detections, draw_target
from detkit.visualization.panels import side_by_side

CLASSES = ["cat", "dog"]
BLACK = Image.new("RGB", (600, 500))
BOX = torch.tensor([[100.0, 200, 300, 400]])
SIZE = (500, 600)


def disc(label=0):
    """A detection with a round mask in its box."""
    axis = torch.linspace(-1, 1, 28)
    maps = (axis[:, None] ** 2 + axis**2 < 0.9).float()[None]
    found = Detections(BOX, torch.tensor([0.9]), torch.tensor([label]))
    return found.with_masks(DetectionMasks(maps, BOX, SIZE))


def triangle():
    ring = np.array([[100.0, 200], [300, 200], [100, 400]])
    labels, ignored = torch.tensor([1]), torch.tensor([False])
    return Target(BOX, labels, ignored, None, Outlines.of([[ring]]))


def test_a_detection_is_translucent_with_an_opaque_border():
    pixels = np.asarray(draw_detections(BLACK, disc(), CLASSES)).astype(int)
    colour = np.array(class_colour(0))
    middle, corner = pixels[300, 200], pixels[210, 110]
    assert 0.2 < middle.sum() / colour.sum() < 0.5
    assert not corner.any()
    row = pixels[300, 106:160].sum(axis=1)  # from the line of the box to the middle
    assert row.max() > 0.85 * colour.sum()


def test_an_object_is_drawn_with_its_outline():
    pixels = np.asarray(draw_target(BLACK, triangle(), CLASSES)).astype(int)
    assert pixels[250, 150].any()
    assert not pixels[350, 250].any()


def test_a_mask_at_the_edge_of_a_tiny_picture_is_drawn_inside_it():
    masks = DetectionMasks(torch.ones(1, 28, 28), torch.tensor([[-3.0, -3, 7, 7]]), (10, 10))
    found = Detections(torch.tensor([[0.0, 0, 7, 7]]), torch.ones(1), torch.tensor([0]))
    picture = draw_detections(Image.new("RGB", (10, 10)), found.with_masks(masks), CLASSES)
    pixels = np.asarray(picture)
    assert pixels[len(pixels) // 3, len(pixels) // 3].any()
    assert not pixels[-5, -5].any()


def test_masks_are_resized_with_the_pictures_of_a_pair():
    sheet = np.asarray(side_by_side(BLACK, triangle(), disc(), CLASSES)).astype(int)
    factor, left, top = 720 / 600, 12, 12 + 28
    right = left + 720 + 12
    row, column = round(top + 250 * factor), round(150 * factor)
    assert sheet[row, left + column].any()
    assert not sheet[round(top + 350 * factor), left + round(250 * factor)].any()
    assert sheet[round(top + 300 * factor), right + round(200 * factor)].any()
    assert not sheet[round(top + 210 * factor), right + round(110 * factor)].any()
