import pytest
import torch

from detkit.heads.quality import centreness


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 20, 20], 1.0),  # the prior's centre, (10, 10), is the middle
        ([8, 5, 18, 15], 0.5),  # left 2, right 8, top 5, bottom 5: the root of 1/4
        ([8, 8, 18, 18], 0.25),
        ([10, 0, 20, 20], 0.0),  # on the border
        ([12, 0, 20, 20], 0.0),  # outside
        ([12, 12, 20, 20], 0.0),  # outside on both axes: two negative ratios are not a positive
        ([10, 10, 10, 10], 0.0),  # without area
    ],
)
def test_centreness(box, expected):
    prior = torch.tensor([[6.0, 6, 14, 14]])
    assert centreness(prior, torch.tensor([box]).float()).item() == pytest.approx(expected)


def test_centreness_of_nothing():
    assert centreness(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
