"""Fast R-CNN's lower limit of background."""

import pytest
import torch

from detkit.assigners.max_iou import MaxIoUAssigner
from detkit.errors import UserError
from detkit.structures import BACKGROUND, IGNORED, PaddedTargets, Priors, Target

BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 40], [0, 0, 10, 200], [50, 50, 60, 60]])
PRIORS = Priors(BOXES, torch.ones(4), torch.zeros(4, dtype=torch.int64))
OBJECT = Target(BOXES[:1], torch.tensor([0]), torch.tensor([False]))


def assign(target):
    part = MaxIoUAssigner(background=0.5, background_at_least=0.1, low_quality=False)
    return part(PRIORS, None, None, PaddedTargets.of([target])).matched[0].tolist()


def test_background_is_near_objects():
    assert assign(OBJECT) == [0, BACKGROUND, IGNORED, IGNORED]  # IoU of 1, 1/4, 1/20 and 0


def test_without_objects_all_is_background():
    assert assign(Target.empty()) == [BACKGROUND] * 4


def test_a_limit_above_the_background_is_refused():
    with pytest.raises(UserError, match=r"background_at_least 0\.5 is above background 0\.4"):
        MaxIoUAssigner(background_at_least=0.5)
