"""Loss 'eiou' keeps its family's contract, and equals the paper's formula."""

import pytest
import torch

from detkit import registry
from detkit.contracts import cases


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_contract(gamma):
    for case in cases("loss", "eiou", gamma=gamma):
        case()


def test_value_by_hand():
    loss = registry.get("loss", "eiou")()
    # IoU 1/3; centres 2 apart in a box of 6 x 4; widths and heights are equal.
    moved = loss(torch.tensor([[2.0, 0, 6, 4]]), torch.tensor([[0.0, 0, 4, 4]]))
    torch.testing.assert_close(moved, torch.tensor([1 - 1 / 3 + 4 / 52]))
    # IoU 1/2; centres 1 apart in a box of 4 x 4; widths differ by 2 of 4.
    narrow = loss(torch.tensor([[0.0, 0, 2, 4]]), torch.tensor([[0.0, 0, 4, 4]]))
    torch.testing.assert_close(narrow, torch.tensor([1 - 1 / 2 + 1 / 32 + 4 / 16]))


def test_gamma_makes_good_boxes_count_more():
    boxes = torch.tensor([[0.0, 0, 2, 4]]), torch.tensor([[0.0, 0, 4, 4]])
    plain, focal = (registry.get("loss", "eiou")(gamma=gamma)(*boxes) for gamma in (0.0, 0.5))
    torch.testing.assert_close(focal, plain * 0.5**0.5)
