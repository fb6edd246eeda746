from importlib.util import find_spec

import pytest
import torch
from contract_cases import each_promise

from detkit.data.transforms.colour import ColorJitter
from detkit.data.transforms.crops import CropToSize, RandomCrop
from detkit.data.transforms.flips import HorizontalFlip, VerticalFlip
from detkit.data.transforms.resizing import Letterbox, Resize, ResizeExact, ScaleJitter
from detkit.errors import ConfigError
from detkit.interfaces import MixingTransform
from detkit.registry import get, names
from detkit.structures import Detections

CORNER = [[4.0, 2.0, 12.0, 10.0], [30.0, 5.0, 40.0, 20.0]]


# What leaves no way back for a box: it may be cut, dropped or joined by boxes of other images.
CUTTING = {"random_crop", "crop_to_size", "random_perspective", "cut_out"}
CUTTING |= {"mosaic", "mixup", "cutmix", "copy_paste", "albumentations"}
NEEDED = {
    "mosaic": {"height": 200, "width": 200},
    "albumentations": {"transforms": [{"GaussianBlur": {"p": 0.5}}]},
}
BUILT = [n for n in names("transform") if n != "albumentations" or find_spec(n)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def apply(transform, sample, random, other=None):
    """A sample after a transform, mixed with the other one as often as requested."""
    if not isinstance(transform, MixingTransform):
        return transform(sample, random)
    others = [other or sample] * transform.count(random)
    return transform.mix(sample, others, random) if others else sample


@each_promise("transform", names=BUILT, needed=NEEDED)
# pain 14
def test_a_transform_keeps_its_contract(case):
    case()


@pytest.mark.parametrize("name", [n for n in names("transform") if n not in CUTTING])
@pytest.mark.parametrize("seed", range(4))
def test_the_map_to_the_original_image_takes_boxes_back(samples, name, seed):
    sample = samples(CORNER, height=60, width=80)
    moved = get("transform", name)()(sample, generator(seed))
    found = Detections(moved.target.boxes, torch.ones(2), moved.target.labels)
    back = found.to_original(moved.to_image, sample.original_size)
    torch.testing.assert_close(back.boxes, sample.target.boxes, atol=1e-3, rtol=0)


def test_maps_of_successive_transforms_multiply(samples):
    sample = samples(CORNER)
    for step in (
        HorizontalFlip(probability=1.0),
        ResizeExact(height=60, width=80),
        VerticalFlip(probability=1.0),
        Letterbox(height=100, width=100),
    ):
        sample = step(sample, generator())
    # flipped: x = 40 - x; resized: times 2 and 3; flipped: y = 60 - y; scaled 1.25, down by 12
    expected = [[-2.5, 0, 100], [0, -3.75, 75 + 12], [0, 0, 1]]
    assert sample.to_image.tolist() == expected
    assert sample.target.boxes[0].tolist() == [70, 49.5, 90, 79.5]


def test_horizontal_flip_mirrors_image_and_boxes(samples):
    sample = samples(CORNER)
    moved = HorizontalFlip(probability=1.0)(sample, generator())
    assert moved.target.boxes.tolist() == [[28, 2, 36, 10], [0, 5, 10, 20]]
    assert moved.image.equal(sample.image.flip(-1))


def test_vertical_flip_mirrors_image_and_boxes(samples):
    sample = samples(CORNER)
    moved = VerticalFlip(probability=1.0)(sample, generator())
    assert moved.target.boxes.tolist() == [[4, 10, 12, 18], [30, 0, 40, 15]]
    assert moved.image.equal(sample.image.flip(-2))


def test_flips_come_with_their_probability(samples):
    sample, random = samples(CORNER), generator()
    flip = HorizontalFlip(probability=0.25)
    count = sum(flip(sample, random) is not sample for _ in range(400))
    assert 70 < count < 130
    assert HorizontalFlip(probability=0.0)(sample, random) is sample


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((20, 40), {"short_side": 10, "long_side": None}, (10, 20)),
        ((20, 40), {"short_side": 40, "long_side": 60}, (30, 60)),
        ((40, 20), {"short_side": 40, "long_side": 60}, (60, 30)),
        ((33, 47), {"short_side": 64, "long_side": 999, "multiple": 32}, (64, 96)),
        ((20, 400), {"short_side": 20, "long_side": 20}, (1, 20)),
    ],
)
def test_resize_keeps_the_ratio_within_limits(samples, size, options, expected):
    assert Resize(**options)(samples([], *size), generator()).size == expected


def test_resize_moves_boxes_by_the_true_factors(samples):
    moved = Resize(short_side=10, long_side=None)(samples(CORNER, 21, 40), generator())
    assert moved.size == (10, 19)
    assert moved.target.boxes[0].tolist() == pytest.approx(
        [4 * 19 / 40, 2 * 10 / 21, 12 * 19 / 40, 10 * 10 / 21]
    )


@pytest.mark.parametrize(("centred", "offset"), [(True, 10), (False, 0)])
def test_letterbox_fills_what_the_image_leaves(samples, centred, offset):
    moved = Letterbox(height=40, width=40, centred=centred, fill=7)(samples(CORNER), generator())
    assert moved.size == (40, 40)
    inside = torch.zeros(40, dtype=torch.bool)
    inside[offset : offset + 20] = True
    assert moved.image[:, ~inside].eq(7).all()
    assert not moved.image[:, inside].eq(7).all(-1).any()
    assert moved.target.boxes[0].tolist() == [4, 2 + offset, 12, 10 + offset]


def test_letterbox_enlarges_only_if_asked(samples):
    sample = samples(CORNER)
    small = Letterbox(height=80, width=80, centred=False, enlarge=False)(sample, generator())
    assert small.target.boxes.equal(sample.target.boxes)
    large = Letterbox(height=80, width=80, centred=False)(sample, generator())
    assert large.target.boxes.equal(sample.target.boxes * 2)


def test_scale_jitter_stays_in_its_range(samples):
    sample, random = samples(CORNER, 100, 200), generator()
    jitter = ScaleJitter(smallest=0.5, largest=2.0)
    heights = [jitter(sample, random).size[0] for _ in range(40)]
    assert 50 <= min(heights) < 80
    assert 170 < max(heights) <= 200


@pytest.mark.parametrize("build", [ScaleJitter, RandomCrop])
def test_a_range_must_not_be_inverted(build):
    with pytest.raises(ConfigError, match=r"smallest 0\.9 is above largest 0\.6; swap them"):
        build(smallest=0.9, largest=0.6)


def test_crop_shows_the_same_pixels_under_the_boxes(samples):
    sample = samples([[18.0, 8.0, 22.0, 12.0]], 20, 40)
    moved = RandomCrop(smallest=0.5, largest=0.9, least_kept=1.0, probability=1.0)(
        sample, generator(2)
    )
    left, top = (-moved.to_image[:2, 2]).int().tolist()
    height, width = moved.size
    assert (height, width) != sample.size
    assert moved.image.equal(sample.image[:, top : top + height, left : left + width])
    assert moved.target.boxes[0].tolist() == [18 - left, 8 - top, 22 - left, 12 - top]


def test_crop_drops_boxes_with_too_little_left(samples):
    sample = samples([[0.0, 0.0, 40.0, 20.0], [0.0, 0.0, 40.0, 20.0]])
    sample.target.labels[:] = torch.tensor([4, 2])
    half = {"smallest": 0.5, "largest": 0.5, "probability": 1.0}  # a quarter of the area remains
    kept = RandomCrop(**half, least_kept=0.25)(sample, generator())
    assert kept.target.labels.tolist() == [4, 2]
    assert kept.target.boxes[0].tolist() == [0, 0, 20, 10]
    empty = RandomCrop(**half, least_kept=0.3, allow_empty=True)(sample, generator())
    assert len(empty.target) == 0
    whole = RandomCrop(**half, least_kept=0.3)(sample, generator())
    assert whole is sample


def test_crop_keeps_an_object_to_learn_from(samples):
    sample = samples([[0.0, 0.0, 5.0, 5.0]])
    crop = RandomCrop(smallest=0.3, largest=0.5, probability=1.0)
    random = generator()
    assert all(len(crop(sample, random).target) == 1 for _ in range(30))


def test_crop_to_size_leaves_small_images(samples):
    sample = samples(CORNER)
    assert CropToSize(height=20, width=40)(sample, generator()) is sample
    assert CropToSize(height=64, width=16)(sample, generator()).size == (20, 16)


def test_colour_jitter_leaves_geometry_and_brightens(samples):
    sample = samples(CORNER)
    none = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, probability=1.0)
    assert none(sample, generator()).image.equal(sample.image)
    jitter = ColorJitter(brightness=1.0, contrast=0.0, saturation=0.0, probability=1.0)
    means = [jitter(sample, generator(s)).image.float().mean() for s in range(10)]
    assert min(means) < 0.7 * sample.image.float().mean() < 1.2 * min(max(means), 200)
    assert jitter(sample, generator()).to_image.equal(sample.to_image)


def test_colour_jitter_draws_as_many_numbers_whatever_it_does(samples):
    after = []
    for options in ({"probability": 0.0}, {"probability": 1.0, "hue": 0.1}):
        random = generator()
        ColorJitter(**options)(samples([]), random)
        after.append(torch.rand(1, generator=random))
    assert after[0] == after[1]
