"""Transforms change images with any channels, of 8 bits or floating point, as they change RGB."""

import pytest
import torch

from detkit.data.collate import Collate
from detkit.data.transforms.colour import HSV, ColorJitter
from detkit.data.transforms.crops import CropToSize, RandomCrop
from detkit.data.transforms.cut_out import CutOut
from detkit.data.transforms.flips import HorizontalFlip, VerticalFlip
from detkit.data.transforms.mixing import CopyPaste, Mixup
from detkit.data.transforms.mosaic import Mosaic
from detkit.data.transforms.perspective import RandomPerspective
from detkit.data.transforms.resizing import Letterbox, Resize, ResizeExact, ScaleJitter

BOXES = [[4, 4, 20, 16], [10, 2, 30, 18]]
SINGLE = [
    HorizontalFlip(probability=1),
    VerticalFlip(probability=1),
    Resize(short_side=13),
    ResizeExact(height=31, width=17),
    Letterbox(height=32, width=32),
    ScaleJitter(),
    RandomCrop(probability=1),
    CropToSize(height=10, width=10),
    CutOut(probability=1),
    RandomPerspective(),
    RandomPerspective(degrees=20, perspective=0.2),
]
MIXING = [Mixup(probability=1), Mosaic(height=40, width=60), CopyPaste(probability=1)]


def of_channels(sample, *channels):
    """The sample with chosen channels of its image, innermost in memory."""
    pixels = sample.image[list(channels)].permute(1, 2, 0).contiguous()
    return sample.replace(image=pixels.permute(2, 0, 1))


def changed(step, sample):
    generator = torch.Generator().manual_seed(3)
    if step in SINGLE:
        return step(sample, generator)
    return step.mix(sample, [sample] * step.count(generator), generator)


@pytest.mark.parametrize("step", [*SINGLE, *MIXING], ids=lambda step: type(step).__name__)
def test_each_channel_changes_as_one_of_rgb_does(step, samples):
    sample = samples(BOXES)
    rgb = changed(step, sample)
    wide = changed(step, of_channels(sample, 0, 1, 2, 0, 2))
    assert wide.image.equal(rgb.image[[0, 1, 2, 0, 2]])
    assert wide.target.boxes.equal(rgb.target.boxes)
    assert changed(step, of_channels(sample, 1)).image.equal(rgb.image[[1]])


@pytest.mark.parametrize("step", [*SINGLE, *MIXING], ids=lambda step: type(step).__name__)
def test_floating_point_images_change_alike(step, samples):
    sample = samples(BOXES)
    deep = sample.replace(image=sample.image.float())
    before = deep.image.clone()
    result = changed(step, deep).image
    assert result.dtype == torch.float32
    assert deep.image.equal(before)
    # bytes are rounded once for each direction, and OpenCV blends them with 5 bits
    assert (result - changed(step, sample).image).abs().max() <= 4


def test_brightness_and_contrast_change_any_channels(samples):
    step = ColorJitter(saturation=0, probability=1)
    grey = of_channels(samples(BOXES), 0)
    levels = step(grey, torch.Generator().manual_seed(1)).image
    deep = grey.replace(image=grey.image.float())
    exact = step(deep, torch.Generator().manual_seed(1)).image
    assert not levels.equal(grey.image)
    assert (levels - exact).abs().max() <= 1


@pytest.mark.parametrize("step", [ColorJitter(hue=0.1, probability=1), HSV()])
def test_colours_of_floating_point_images_change_like_those_of_bytes(step, samples):
    sample = samples(BOXES)
    levels = step(sample, torch.Generator().manual_seed(1)).image
    deep = sample.replace(image=sample.image.float())
    exact = step(deep, torch.Generator().manual_seed(1)).image
    assert (levels - exact).abs().max() <= 3


def test_steps_that_need_colours_refuse_other_channels():
    assert "hsv changes hue and saturation" in HSV().refused_channels(1)
    assert "images of 4 channels do not have" in ColorJitter().refused_channels(4)
    assert ColorJitter(saturation=0).refused_channels(4) is None
    assert HSV().refused_channels(3) is None


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_batches_have_the_channels_and_type_of_their_images(channels, samples):
    sample = of_channels(samples(BOXES), *[0] * channels)
    deep = sample.replace(image=sample.image.float())
    for each in (sample, deep):
        batch = Collate(pad_multiple=32)([each])
        assert batch.images.dtype == each.image.dtype
        assert batch.images[0, :, :20, :40].equal(each.image)
