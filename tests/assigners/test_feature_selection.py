import math

import pytest
import torch
from assigner_scenes import assign, objects, points
from torch.testing import assert_close

from detkit.assigners import FeatureSelectionAssigner
from detkit.assigners.feature_selection import _pair_losses
from detkit.errors import UserError
from detkit.structures import BACKGROUND, IGNORED

PRIORS = points()  # 320, 80 and 20 cells of strides 8, 16 and 32
OBJECT = [32.0, 32.0, 96.0, 96.0]  # centre 64, 64; effective 57.6 to 70.4, ignored 48 to 80


def assigned(*boxes, good=()):
    """The assignment where predictions are the boxes of `good`, {level: box}, else cells."""
    predicted = PRIORS.boxes.clone()
    for level, box in dict(good).items():
        predicted[PRIORS.level == level] = torch.tensor(box)
    scores = torch.full((len(predicted), 1), 0.5)
    return assign(FeatureSelectionAssigner(), PRIORS, objects(*boxes), scores, predicted).matched


@pytest.mark.parametrize(("level", "cells"), [(0, 4), (1, 4), (2, 4)])
def test_the_level_with_the_best_boxes_takes_the_object(level, cells):
    matched = assigned(OBJECT, good={level: OBJECT})
    positive = matched == 0
    assert PRIORS.level[positive].unique().tolist() == [level]
    assert positive.sum() == cells  # 64, 64 is a corner of four cells on each level


def test_cells_around_are_ignored_on_the_level_and_those_next_to_it():
    matched = assigned(OBJECT, good={0: OBJECT})
    ignored = [int((matched[PRIORS.level == level] == IGNORED).sum()) for level in range(3)]
    # Centres at 52, 60, 68 and 76 on level 0; at 56 and 72 on level 1; none looked at on level 2.
    assert ignored == [4 * 4 - 4, 2 * 2, 0]


def test_of_two_objects_on_a_cell_the_smaller_one_wins():
    small = [60.0, 60.0, 76.0, 76.0]  # centre 68, 68, of the cell 64 to 72
    matched = assigned(small, OBJECT, good={0: OBJECT, 1: small, 2: [0.0, 0, 1, 1]})
    both = assigned(OBJECT, small, good={0: small})
    cell = 8 * 20 + 8
    assert matched[PRIORS.level == 1].eq(0).sum() == 1
    assert both[cell] == 1


def test_an_object_smaller_than_any_cell_has_one():
    assert (assigned([41.0, 41.0, 43.0, 43.0]) == 0).sum() == 1


def test_without_objects_all_is_background():
    assert (assigned() == BACKGROUND).all()


def test_loss_of_a_pair_by_hand():
    assigner = FeatureSelectionAssigner()
    losses = assigner._class_losses(torch.tensor([[[0.5, 0.1]]]))
    box = torch.tensor([[[0.0, 0.0, 2.0, 2.0]]])
    pair = _pair_losses(losses, box, torch.tensor([[[0.0, 0, 2, 4]]]), torch.tensor([[0]]))
    focal = 0.25 * 0.25 * math.log(2) + 0.75 * 0.01 * -math.log(0.9)
    assert_close(pair.item(), focal + math.log(2), rtol=1e-5, atol=1e-5)


def test_an_ignored_region_inside_the_effective_one_is_refused():
    with pytest.raises(UserError, match=r"effective 0\.6 is above ignored 0\.5"):
        FeatureSelectionAssigner(effective=0.6)
