"""Colours changed by OpenCV equal torchvision's and colorsys'."""

import colorsys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from detkit.data.transforms.intensity import adjust, jitter


@pytest.fixture(scope="module")
def colours():
    """Some of all colours, in more rows than are done at a time."""
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 90, 40), dtype=torch.uint8, generator=random)


@pytest.mark.parametrize("turn", [0.015, -0.05, 1 / 6, 0.2, 1 / 3, 0.4, 0.5, -0.28, -0.45])
def test_hues_turn_as_torchvision_turns_them(colours, turn):
    difference = adjust(colours, turn, 1.0, 1.0).int() - F.adjust_hue_image(colours, turn).int()
    assert difference.abs().max() <= 2


FACTORS = [(0.8, 1.2, 1, 0), (1.3, 0.7, 1, 0), (1, 1, 1.4, 0), (1, 1, 0.3, 0), (1.2, 0.9, 0.8, 0.1)]


@pytest.mark.parametrize("factors", FACTORS)
def test_jitter_equals_torchvision_step_by_step(factors):
    smooth = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0)) * 255
    smooth = F.resize_image(smooth, [160, 200]).round().to(torch.uint8)
    expected = F.adjust_contrast_image(F.adjust_brightness_image(smooth, factors[0]), factors[1])
    expected = F.adjust_hue_image(F.adjust_saturation_image(expected, factors[2]), factors[3])
    found = jitter(smooth, *factors)
    difference = (found.int() - expected.int()).abs()
    assert difference.float().mean() <= 2  # torchvision cuts fractions off at each step
    assert difference.max() <= (8 if factors[3] else 3)  # hues of what is nearly grey


@pytest.mark.parametrize(("width", "levels"), [(0.2, 3), (1.0, 5)])
def test_jitter_stays_within_the_levels_that_its_docstring_states(width, levels):
    generator = torch.Generator().manual_seed(0)
    worst = 0
    for _ in range(150):
        colours = torch.randint(0, 256, (3, 24, 24), dtype=torch.uint8, generator=generator)
        factors = (1 + width * (2 * torch.rand(3, generator=generator) - 1)).tolist()
        expected = F.adjust_brightness_image(colours, factors[0])
        expected = F.adjust_contrast_image(expected, factors[1])
        expected = F.adjust_saturation_image(expected, factors[2])
        difference = (jitter(colours, *factors, 0.0).int() - expected.int()).abs().max()
        worst = max(worst, int(difference))
    assert worst == levels


@pytest.mark.parametrize(("saturation", "value"), [(0.4, 1.0), (1.0, 0.6), (1.0, 1.8), (1.3, 1.2)])
def test_saturation_and_value_equal_hsv(colours, saturation, value):
    found = adjust(colours, 0.0, saturation, value)
    for place in range(0, 90, 6):
        levels = (colours[:, place, 5] / 255).tolist()
        hue, full, bright = colorsys.rgb_to_hsv(*levels)
        if full * saturation <= 1:
            wanted = colorsys.hsv_to_rgb(hue, full * saturation, min(bright * value, 1))
            assert found[:, place, 5].tolist() == pytest.approx([255 * w for w in wanted], abs=4)


@settings(max_examples=60, deadline=None)
@given(
    saturation=st.floats(0, 2) | st.sampled_from([0.99, 1.0, 1.01]),
    value=st.floats(0, 2) | st.sampled_from([0.99, 1.0, 1.01]),
)
def test_saturation_and_value_of_all_levels(saturation, value):
    strongest, colour = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    colour = colour.minimum(strongest)
    found = adjust(torch.stack([strongest, colour, colour]).byte(), 0.0, saturation, value)
    bright = (strongest * value).clamp(max=255)
    less = (strongest - colour) * saturation * bright / strongest.clamp(min=1)
    assert (found[0] - bright).abs().max() <= 1.5
    # the factor has as many bits as fit, 7 below 1.99 and 5 at 4
    bound = 3 if saturation * value < 1.99 else 6
    assert (found[1] - (bright - less).clamp(min=0)).abs().max() <= bound


def test_nothing_else_is_written_to(colours):
    before = colours.clone()
    adjust(colours, 0.2, 1.5, 1.9)
    jitter(colours, 1.9, 1.9, 1.9, 0.3)
    assert colours.equal(before)
