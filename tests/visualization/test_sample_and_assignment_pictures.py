import numpy as np
import torch

from detkit.structures import BACKGROUND, IGNORED, Priors, Sample, Target
from detkit.visualization.assignment import assignment_rows, assignment_sheet
from detkit.visualization.colours import class_colour
from detkit.visualization.samples import draw_sample, sample_sheet

WHITE = torch.full((3, 460, 460), 255, dtype=torch.uint8)
RED, CROSS = (225, 20, 30), (60, 62, 66)


def target(*boxes, ignored=()):
    count = len(boxes)
    return Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.arange(count),
        torch.tensor([number in ignored for number in range(count)], dtype=torch.bool),
    )


def has(picture, colour):
    return bool((np.asarray(picture) == colour).all(axis=-1).any())


def grid(stride, level):
    centres = torch.arange(stride / 2, 460, stride)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    boxes = torch.stack([x, y, x, y], -1).reshape(-1, 4)
    boxes = boxes + torch.tensor([-1, -1, 1, 1]) * stride / 2
    return boxes, torch.full((len(boxes),), float(stride)), torch.full((len(boxes),), level)


def test_levels_show_what_their_priors_are_responsible_for():
    priors = Priors(
        *(torch.cat(pair) for pair in zip(grid(46, 0)[:3], grid(230, 1)[:3], strict=True))
    )
    matched = torch.full((104,), BACKGROUND)
    matched[11], matched[102] = 0, IGNORED
    objects = target([40.0, 40.0, 110.0, 110.0], [300.0, 300.0, 400.0, 400.0])
    (fine, coarse), captions = assignment_rows(WHITE, objects, "mine", priors, matched)
    assert captions == [
        "mine, stride 46: 1 positive",
        "mine, stride 230: 0 positive, 1 ignored",
    ]
    assert fine.getpixel((69, 69)) == class_colour(0)
    assert coarse.getpixel((69, 69)) != class_colour(0)
    assert has(coarse, CROSS)
    assert not has(fine, CROSS)
    assert has(fine, RED)  # the second object has no prior
    assert has(coarse, RED)


def test_an_image_without_objects_is_drawn():
    boxes, stride, level = grid(46, 0)
    nothing = torch.full((len(boxes),), BACKGROUND)
    row = assignment_rows(WHITE, target(), "mine", Priors(boxes, stride, level), nothing)
    other = ([row[0][0], row[0][0]], ["a", "b"])
    sheet = assignment_sheet([row, other], "image.png")
    assert sheet.width > 2 * 460
    assert sheet.height > 2 * 460


def sample(image, objects):
    return Sample(image, objects, objects, 1, "a.png", (image.shape[1], image.shape[2]))


def test_samples_are_drawn_with_their_boxes():
    objects = target([10.0, 10.0, 200.0, 200.0], [250.0, 250.0, 400.0, 400.0], ignored=(1,))
    picture = draw_sample(sample(WHITE, objects), ["cat", "dog"])
    assert picture.size == (460, 460)
    assert has(picture, class_colour(0))
    small = sample(WHITE[:, :40, :80], target())
    sheet = sample_sheet([sample(WHITE, objects), small], ["one", "two"], ["cat", "dog"], note="x")
    assert sheet.width > 2 * 480
    assert has(sheet, class_colour(0))
