"""Cut-out, and changes of hue, saturation and value."""

import colorsys

import pytest
import torch

from detkit.data.transforms.colour import HSV
from detkit.data.transforms.cut_out import CutOut
from detkit.data.transforms.geometry import visible_shares
from detkit.errors import ConfigError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_visible_shares_by_hand():
    covered = torch.zeros(20, 40, dtype=torch.bool)
    covered[5:10, 10:20] = True
    boxes = torch.tensor([[0, 0, 40, 20], [10, 5, 20, 10], [15, 0, 25, 10], [30, 0, 35, 5]])
    assert visible_shares(boxes.float(), covered).tolist() == [1 - 50 / 800, 0, 0.75, 1]
    thin = torch.tensor([[3.1, 3.1, 3.2, 9.0]])
    assert visible_shares(thin, covered).tolist() == [1]
    assert visible_shares(torch.zeros(0, 4), covered).shape == (0,)


@pytest.mark.parametrize("seed", range(5))
def test_cut_out_hides_a_share_of_the_image(samples, seed):
    sample = samples([], 100, 200)
    hide = CutOut(smallest=0.1, largest=0.1, fill=7, probability=1.0)
    hidden = (hide(sample, generator(seed)).image == 7).all(dim=0)
    rows, columns = hidden.any(dim=1).sum(), hidden.any(dim=0).sum()
    assert hidden.sum() == rows * columns  # one rectangle
    assert hidden.float().mean().item() == pytest.approx(0.1, abs=0.003)
    assert 1 / 3.2 < rows / columns < 3.2


def test_cut_out_drops_hidden_objects(samples):
    sample = samples([[0.0, 0.0, 40.0, 20.0]])
    hide = {"smallest": 0.5, "largest": 0.5, "most_elongated": 1.0, "probability": 1.0}
    assert len(CutOut(**hide, least_kept=0.4)(sample, generator()).target) == 1
    assert len(CutOut(**hide, least_kept=0.6)(sample, generator()).target) == 0


def test_cut_out_fills_with_noise_and_leaves_the_rest(samples):
    sample = samples([], 60, 60)
    hide = CutOut(smallest=0.2, largest=0.2, fill=None, probability=1.0, most=1)
    changed = (hide(sample, generator()).image != sample.image).any(dim=0)
    assert 0.15 < changed.float().mean() <= 0.21
    assert hide(sample, generator()).image.unique().numel() > 200
    assert CutOut(probability=0.0)(sample, generator()) is sample


def test_cut_out_refuses_an_inverted_range():
    with pytest.raises(ConfigError, match=r"cut_out: smallest 0\.5 is above largest 0\.2"):
        CutOut(smallest=0.5)


def test_hsv_without_change_leaves_the_sample_unchanged(samples):
    sample = samples([])
    assert HSV(hue=0.0, saturation=0.0, value=0.0)(sample, generator()) is sample
    assert HSV(probability=0.0)(sample, generator()) is sample


@pytest.mark.parametrize("seed", range(4))
def test_hsv_turns_and_multiplies(samples, seed):
    sample = samples([])
    colour = (0.8, 0.4, 0.2)
    for channel, level in enumerate(colour):
        sample.image[channel] = round(255 * level)
    step = HSV(hue=0.1, saturation=0.2, value=0.2)
    random = generator(seed)
    changed = step(sample, random).image[:, 0, 0].tolist()
    draws = generator(seed)
    _, turn, saturation, value = (  # the first one says whether
        2 * float(torch.rand((), generator=draws, dtype=torch.float64)) - 1 for _ in range(4)
    )
    hue, full, bright = colorsys.rgb_to_hsv(*colour)
    expected = colorsys.hsv_to_rgb(
        (hue + 0.1 * turn) % 1, full * (1 + 0.2 * saturation), bright * (1 + 0.2 * value)
    )
    assert changed == pytest.approx([255 * level for level in expected], abs=5)


def test_hsv_keeps_grey_grey_and_draws_alike(samples):
    sample = samples([])
    sample.image[:] = 90
    changed = HSV(hue=0.5, saturation=0.9, value=0.0)(sample, generator()).image
    assert (changed == 90).all()
    after = []
    for probability in (0.0, 1.0):
        random = generator()
        HSV(probability=probability)(sample, random)
        after.append(float(torch.rand(1, generator=random)))
    assert after[0] == after[1]
