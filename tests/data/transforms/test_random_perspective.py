import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from detkit.data.transforms.geometry import warp_boxes
from detkit.data.transforms.perspective import RandomPerspective
from detkit.structures import Detections, Sample, Target

STILL = {"degrees": 0.0, "translate": 0.0, "scale": 0.0, "shear": 0.0, "perspective": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Fixed(RandomPerspective):
    """Draws the largest value of everything."""

    def _matrix(self, before, after, generator):
        high = torch.Generator()
        real = torch.rand
        try:
            torch.rand = lambda *_, **options: torch.ones((), dtype=options["dtype"])
            return super()._matrix(before, after, high)
        finally:
            torch.rand = real


def test_identity_leaves_the_sample_unchanged(samples):
    sample = samples([[4.0, 2.0, 12.0, 10.0]])
    assert RandomPerspective(**STILL)(sample, generator()) is sample


def test_another_size_moves_the_centre_to_the_centre_exactly(samples):
    sample = samples([[4.0, 2.0, 12.0, 10.0]])  # 20 high, 40 wide
    larger = RandomPerspective(**STILL, height=30, width=60, fill=9)(sample, generator())
    assert larger.image[:, 5:25, 10:50].equal(sample.image)
    assert (larger.image[:, :5] == 9).all()
    assert larger.target.boxes.tolist() == [[14, 7, 22, 15]]
    smaller = RandomPerspective(**STILL, height=10, width=20)(sample, generator())
    assert smaller.image.equal(sample.image[:, 5:15, 10:30])
    assert smaller.target.boxes.tolist() == [[0, 0, 2, 5]]


def test_a_quarter_turn_is_exact(samples):
    sample = samples([[4.0, 2.0, 12.0, 10.0]], height=20, width=40)
    turned = Fixed(**{**STILL, "degrees": 90.0}, height=40, width=20)(sample, generator())
    assert turned.image.equal(sample.image.rot90(-1, (1, 2)))  # clockwise
    assert turned.target.boxes.tolist() == [[10, 4, 18, 12]]  # x = 20 - y, y = x
    expected = torch.tensor([[0, -1, 20], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(turned.to_image, expected, atol=1e-12, rtol=0)


def test_zoom_shift_and_shear_of_a_box(samples):
    sample = samples([[16.0, 8.0, 24.0, 12.0]], height=20, width=40)  # around the middle
    zoomed = Fixed(**{**STILL, "scale": 0.5})(sample, generator())
    # [14, 7, 26, 13] but for the shift in whole pixels of the image, from 6.67 to 7 and 3.33 to 3
    assert zoomed.target.boxes.tolist() == [[13.5, 7.5, 25.5, 13.5]]
    shifted = Fixed(**{**STILL, "translate": 0.25})(sample, generator())
    assert shifted.target.boxes.tolist() == [[26, 13, 34, 17]]
    assert shifted.image[:, 5:, 10:].equal(sample.image[:, :-5, :-10])
    sheared = Fixed(**{**STILL, "shear": 45.0})(sample, generator())
    assert sheared.target.boxes[0].tolist() == pytest.approx([14, 4, 26, 16])


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    scale=st.sampled_from([0.0, 0.5, 0.98]),
    translate=st.sampled_from([0.0, 0.3, 1.0]),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
@example(seed=63, scale=0.5, translate=0.0, size=(1, 49))
@example(seed=242914, scale=0.98, translate=0.0, size=(2, 2))  # of the image, one pixel is left
def test_a_zoom_shows_a_box_where_it_says(seed, scale, translate, size):
    image = torch.full((3, 48, 64), 50, dtype=torch.uint8)
    image[:, 12:36, 8:56] = 250
    target = Target(torch.tensor([[8.0, 12, 56, 36]]), torch.zeros(1).long(), torch.zeros(1) > 0)
    step = RandomPerspective(
        height=size[0],
        width=size[1],
        scale=scale,
        translate=translate,
        least_side=0.0,
        least_kept=0.0,
        fill=0,
    )
    moved = step(Sample(image, target, target, 1, "", (48, 64)), generator(seed))
    assert moved.size == size
    bright = (moved.image[0] > 150).nonzero()
    if not len(moved.target):
        assert len(bright) <= max(size)  # at most a line of half pixels
        return
    (box,) = moved.target.boxes.tolist()
    if min(box[2] - box[0], box[3] - box[1]) < 1:
        return  # a line of less than a pixel need not be bright
    seen = [*bright.amin(dim=0).flip(0).tolist(), *(bright.amax(dim=0).flip(0) + 1).tolist()]
    # The shift is rounded by up to half a pixel, and so is what counts as bright.
    assert seen == pytest.approx(box, abs=1.0)


@pytest.mark.parametrize("seed", range(6))
def test_zoomed_pixels_are_those_of_pillow(seed):
    coarse = torch.rand(1, 3, 20, 25, generator=generator(seed)) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(200, 250), mode="bicubic")
    image = smooth[0].clamp(0, 255).byte()
    target = Target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).bool())
    step = RandomPerspective(height=100, width=120, scale=0.2, translate=0.05)
    moved = step(Sample(image, target, target, 1, "", (200, 250)), generator(seed))
    back = torch.linalg.inv(moved.to_image)
    left, top = back[0, 2].item(), back[1, 2].item()
    box = (left, top, left + 120 * back[0, 0].item(), top + 100 * back[1, 1].item())
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    expected = np.array(picture.resize((120, 100), Image.Resampling.BILINEAR, box=box))
    ours = moved.image.permute(1, 2, 0).numpy()
    levels = np.abs(ours.astype(int) - expected)[1:-1, 1:-1]  # Pillow looks beyond its window
    assert levels.max() <= 1


def test_perspective_of_a_box_by_hand(samples):
    sample = samples([[20.0, 10.0, 40.0, 20.0]], height=20, width=40)  # the lower right quarter
    tilted = Fixed(**{**STILL, "perspective": 0.25})(sample, generator())
    # w is 1 in the middle, 1.25 at the middle of the right and lower edges, 1.5 in the corner
    x, y = 20 / 1.25, 10 / 1.25
    assert tilted.target.boxes[0].tolist() == pytest.approx([20, 10, 20 + x, 10 + y])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"least_side": 3.0}, [1, 2]),
        ({"least_side": 0.0, "most_elongated": 5.0}, [0, 2]),
        ({"least_side": 0.0, "least_kept": 0.6}, [0, 1]),
        ({"least_side": 0.0, "least_kept": 0.0}, [0, 1, 2]),
    ],
)
def test_boxes_too_small_too_thin_or_cut_are_dropped(samples, options, kept):
    sample = samples([[20.0, 10.0, 22.0, 12.0], [5.0, 5.0, 29.0, 8.0], [30.0, 10.0, 40.0, 20.0]])
    # shifted by 5 and 0: half of the third box leaves the image
    moved = Fixed(**{**STILL, "translate": 0.125}, **options)(
        sample.replace(image=sample.image), generator()
    )
    assert moved.target.labels.tolist() == kept


def test_boxes_of_a_projective_map_enclose_the_moved_corners():
    angle = math.radians(45)
    matrix = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]],
        dtype=torch.float64,
    )
    moved = warp_boxes(torch.tensor([[-1.0, -1.0, 1.0, 1.0]]), matrix)
    torch.testing.assert_close(moved, torch.tensor([[-1.0, -1.0, 1.0, 1.0]]) * 2**0.5)
    assert warp_boxes(torch.zeros(0, 4), matrix).shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    degrees=st.sampled_from([0.0, 30.0, 180.0]),
    perspective=st.sampled_from([0.0, 0.45]),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_no_box_is_outside_or_degenerate(seed, degrees, perspective, size):
    random = generator(seed)
    corners = torch.rand(6, 2, 2, generator=random).sort(dim=1).values.reshape(6, 4)
    boxes = corners * torch.tensor([40, 20, 40, 20])
    target = Target(boxes, torch.arange(6), torch.zeros(6, dtype=torch.bool))
    image = torch.zeros(3, 20, 40, dtype=torch.uint8)
    sample = Sample(image, target, target, 1, "", (20, 40))
    step = RandomPerspective(
        height=size[0],
        width=size[1],
        degrees=degrees,
        perspective=perspective,
        shear=20.0,
        scale=0.9,
        least_side=0.0,
    )
    moved = step(sample, random)
    found = moved.target.boxes
    assert moved.size == size
    assert (found >= 0).all()
    assert (found <= torch.tensor([size[1], size[0]] * 2)).all()
    assert (found[:, 2:] > found[:, :2]).all()


def test_boxes_found_in_a_turned_image_go_back_around_the_object(samples):
    sample = samples([[16.0, 8.0, 24.0, 12.0]], height=20, width=40)
    turned = Fixed(**{**STILL, "degrees": 90.0}, height=40, width=20)(sample, generator())
    found = Detections(turned.target.boxes, torch.ones(1), turned.target.labels)
    back = found.to_original(turned.to_image, (20, 40))
    torch.testing.assert_close(back.boxes, sample.target.boxes)
    slanted = Fixed(**{**STILL, "degrees": 45.0})(sample, generator())
    found = Detections(slanted.target.boxes, torch.ones(1), slanted.target.labels)
    around = found.to_original(slanted.to_image, (20, 40)).boxes[0]
    assert (around[:2] < torch.tensor([16, 8])).all()
    assert (around[2:] > torch.tensor([24, 12])).all()


@pytest.mark.parametrize("perspective", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_turned_pixels_are_those_of_pillow(seed, perspective):
    coarse = torch.rand(1, 3, 20, 25, generator=generator(seed)) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(200, 250), mode="bicubic")
    image = smooth[0].clamp(0, 255).byte()
    target = Target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).bool())
    step = RandomPerspective(degrees=30, shear=5, perspective=perspective, scale=0.2)
    moved = step(Sample(image, target, target, 1, "", (200, 250)), generator(seed))
    back = torch.linalg.inv(moved.to_image)
    coefficients = (back / back[2, 2]).flatten().tolist()[:8]
    way, bilinear = Image.Transform.PERSPECTIVE, Image.Resampling.BILINEAR
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    expected = np.array(picture.transform((250, 200), way, coefficients, bilinear)).astype(int)
    inside = picture.copy().convert("L").point(lambda _: 255)
    inside = np.array(inside.transform((250, 200), way, coefficients, bilinear)) == 255
    inside = np.all(
        [np.roll(inside, roll, (0, 1)) for roll in [(0, 2), (0, -2), (2, 0), (-2, 0)]], 0
    )
    assert inside.mean() > 0.3
    assert np.abs(moved.image.permute(1, 2, 0).numpy() - expected)[inside].max() <= 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), perspective=st.sampled_from([0.0, 0.2]))
def test_a_turned_box_encloses_its_pixels(seed, perspective):
    image = torch.zeros(3, 80, 100, dtype=torch.uint8)
    image[:, 30:50, 40:60] = 255
    target = Target(torch.tensor([[40.0, 30, 60, 50]]), torch.zeros(1).long(), torch.zeros(1) > 0)
    step = RandomPerspective(degrees=180, scale=0.3, perspective=perspective, fill=0)
    moved = step(Sample(image, target, target, 1, "", (80, 100)), generator(seed))
    bright = (moved.image[0] > 127).nonzero()
    (box,) = moved.target.boxes.tolist()
    seen = [*bright.amin(dim=0).flip(0).tolist(), *(bright.amax(dim=0).flip(0) + 1).tolist()]
    assert seen == pytest.approx(box, abs=1.5)  # corners of less than half a pixel are dark
