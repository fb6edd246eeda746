import torch

from detkit.samplers import KeepAll
from detkit.structures import BACKGROUND, IGNORED


def test_positives_and_background_count_whatever_their_loss():
    matched = torch.tensor([[3, BACKGROUND, IGNORED, 0], [IGNORED, BACKGROUND, BACKGROUND, 1]])
    losses = torch.tensor([[0.0, 9.0, 9.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    expected = [[True, True, False, True], [False, True, True, True]]
    assert KeepAll()(matched, losses).tolist() == expected
