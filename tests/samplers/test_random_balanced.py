import pytest
import torch

from detkit.samplers import RandomBalanced
from detkit.structures import BACKGROUND, IGNORED


def matches(positives, background, ignored):
    """One image with so many priors of each kind, shuffled."""
    values = [0] * positives + [BACKGROUND] * background + [IGNORED] * ignored
    generator = torch.Generator().manual_seed(len(values))
    return torch.tensor(values)[torch.randperm(len(values), generator=generator)][None]


def sample(matched, **settings):
    torch.manual_seed(0)
    return RandomBalanced(**settings)(matched, torch.zeros(matched.shape))


@pytest.mark.parametrize(
    ("positives", "background", "expected"),
    [
        (30, 100, (5, 15)),  # a share of positives
        (3, 100, (3, 17)),  # fewer positives: background fills up
        (0, 100, (0, 20)),
        (30, 4, (5, 4)),  # fewer background: positives do not
        (2, 3, (2, 3)),
        (0, 0, (0, 0)),
    ],
)
def test_numbers_in_an_image(positives, background, expected):
    matched = matches(positives, background, 7)
    mask = sample(matched, number=20, positive_fraction=0.25)
    assert ((mask & (matched >= 0)).sum(), mask.sum()) == (expected[0], sum(expected))
    assert not (mask & (matched == IGNORED)).any()


def test_each_image_is_sampled_by_itself():
    matched = torch.cat([matches(30, 40, 0), matches(1, 69, 0), matches(0, 2, 68)])
    mask = sample(matched, number=10, positive_fraction=0.5)
    assert (mask & (matched >= 0)).sum(dim=1).tolist() == [5, 1, 0]
    assert mask.sum(dim=1).tolist() == [10, 10, 2]


def test_every_prior_has_the_same_chance():
    matched = matches(10, 30, 5).expand(4000, -1)
    share = sample(matched, number=10, positive_fraction=0.5).float().mean(dim=0)
    expected = torch.where(matched[0] >= 0, 5 / 10, 5 / 30) * (matched[0] != IGNORED)
    # Four standard deviations of a share of one half in 4,000 draws.
    assert (share - expected).abs().max() < 4 * 0.5 / 4000**0.5


def test_the_global_generator_decides():
    matched, losses = matches(50, 500, 5), torch.zeros(1, 555)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first, second = (RandomBalanced(number=16)(matched, losses) for _ in range(2))
    torch.set_rng_state(state)
    assert torch.equal(RandomBalanced(number=16)(matched, losses), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("fraction", "positives"), [(0.0, 0), (1.0, 8)])
def test_extreme_shares(fraction, positives):
    matched = matches(20, 20, 0)
    mask = sample(matched, number=8, positive_fraction=fraction)
    assert (mask & (matched >= 0)).sum() == positives
    assert mask.sum() == 8


def test_images_without_priors():
    assert sample(torch.zeros(2, 0).long()).shape == (2, 0)
