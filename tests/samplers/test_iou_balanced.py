import pytest
import torch

from detkit.samplers import IoUBalanced
from detkit.structures import BACKGROUND, IGNORED


def sample(matched, overlaps, **settings):
    torch.manual_seed(0)
    return IoUBalanced(**settings)(matched, overlaps)


def overlaps_of(*counts):
    """Background with so many priors in each third of 0 to 0.3."""
    values = [0.05 + 0.1 * bin_ for bin_, count in enumerate(counts) for _ in range(count)]
    return torch.tensor([*values, 0.3])[None]


@pytest.mark.parametrize(
    ("counts", "number", "expected"),
    [
        ((80, 10, 9), 15, (5, 5, 5)),  # the one of 0.3 is in the last bin
        ((80, 2, 9), 15, (7, 2, 6)),  # what a bin lacks comes from the others, in turns
        ((80, 0, 0), 15, (14, 0, 1)),
        ((3, 2, 0), 15, (3, 2, 1)),
    ],
)
def test_background_is_drawn_evenly_over_overlaps(counts, number, expected):
    overlaps = overlaps_of(*counts)
    mask = sample(torch.full(overlaps.shape, BACKGROUND), overlaps, number=number)
    bins = (overlaps[mask] / 0.1).long().clamp(max=2)
    found = bins.bincount(minlength=3).tolist()
    assert sum(found) == sum(expected)
    assert all(abs(a - b) <= 1 for a, b in zip(found, expected, strict=True))


def test_within_a_bin_every_prior_has_the_same_chance():
    overlaps = overlaps_of(20, 4, 3).expand(3000, -1)
    matched = torch.full(overlaps.shape, BACKGROUND)
    share = sample(matched, overlaps, number=6).float().mean(dim=0)
    expected = torch.tensor([2 / 20] * 20 + [2 / 4] * 8)
    assert (share - expected).abs().max() < 4 * 0.5 / 3000**0.5


def test_positives_and_ignored_priors():
    matched = torch.tensor([[0, 1, 0, 2, IGNORED, IGNORED] + [BACKGROUND] * 30] * 2)
    matched[1, :4] = BACKGROUND
    overlaps = torch.linspace(1, 0, 36).expand(2, -1)
    mask = sample(matched, overlaps, number=8, positive_fraction=0.25)
    assert (mask & (matched >= 0)).sum(dim=1).tolist() == [2, 0]
    assert mask.sum(dim=1).tolist() == [8, 8]
    assert not mask[matched == IGNORED].any()


def test_images_without_objects_or_priors():
    matched = torch.full((2, 40), BACKGROUND)
    assert sample(matched, torch.zeros(2, 40), number=8).sum(dim=1).tolist() == [8, 8]
    assert sample(torch.zeros(2, 0).long(), torch.zeros(2, 0)).shape == (2, 0)
