"""DenseBox's sample of background, counted by hand."""

import torch

from detkit.samplers import HardAndRandom
from detkit.structures import BACKGROUND, IGNORED

PRIORS = 400  # of which four can be hard
HARD = [7, 99, 200, 399]


def scene(positives):
    """An image whose hard background is known."""
    matched = torch.full((1, PRIORS), BACKGROUND)
    matched[0, 10 : 10 + positives] = 0
    losses = torch.rand(1, PRIORS, generator=torch.Generator().manual_seed(0))
    losses[0, 10 : 10 + positives] = 9.0  # positives are not hard background
    losses[0, HARD] = 5.0
    return matched, losses


def sample(positives, **values):
    matched, losses = scene(positives)
    mask = HardAndRandom(**values)(matched, losses)[0]
    assert mask[10 : 10 + positives].all()
    background = (mask & (matched[0] == BACKGROUND)).nonzero().squeeze(1).tolist()
    return background, sorted(set(background) & set(HARD))


def test_half_of_the_background_is_hard():
    torch.manual_seed(0)
    background, hard = sample(6, minimum=0)
    assert len(background) == 6
    assert len(hard) == 3


def test_random_background_replaces_missing_hard_background():
    background, hard = sample(20, minimum=0)
    assert len(background) == 20
    assert hard == HARD


def test_hard_background_replaces_missing_random_background():
    matched, losses = scene(6)
    matched[0, [n for n in range(PRIORS) if n not in (*HARD, *range(10, 16))]] = IGNORED
    mask = HardAndRandom(minimum=0)(matched, losses)[0]
    assert mask.nonzero().squeeze(1).tolist() == [7, *range(10, 16), 99, 200, 399]


def test_each_half_is_drawn_at_random():
    torch.manual_seed(0)
    draws = [sample(4, minimum=0) for _ in range(20)]
    assert {number for _, hard in draws for number in hard} == set(HARD)
    assert len({tuple(background) for background, _ in draws}) == 20


def test_an_image_without_objects_gives_the_minimum():  # pain 14
    background, hard = sample(0, minimum=6)
    assert len(background) == 6
    assert len(hard) == 3
    assert sample(0, minimum=0) == ([], [])


def test_shares_and_ratio_can_be_set():
    background, hard = sample(5, ratio=2.0, hard_fraction=0.2, minimum=0)
    assert len(background) == 10
    assert len(hard) == 2
    assert sample(5, hard_share=0.0, minimum=0)[0] != []
