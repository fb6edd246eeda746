import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.training.optimizers import SGD, AdamW, parameter_groups


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.LayerNorm([4, 2, 2]))
        self.scale = nn.Parameter(torch.tensor(1.0))


def described(model, groups):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }


def test_groups_by_backbone_and_decay():
    model = Detector()
    assert described(model, parameter_groups(model, 1.0, 0.5, 0.1)) == {
        "backbone.0.weight": (0.1, 0.5),
        "backbone.0.bias": (0.1, 0.0),
        "backbone.1.weight": (0.1, 0.0),
        "backbone.1.bias": (0.1, 0.0),
        "head.0.weight": (1.0, 0.5),
        "head.0.bias": (1.0, 0.0),
        "head.1.weight": (1.0, 0.0),  # of three dimensions, but a norm's
        "head.1.bias": (1.0, 0.0),
        "scale": (1.0, 0.0),
    }


def test_frozen_parameters_are_left_out():
    model = Detector()
    model.backbone.requires_grad_(False)
    groups = parameter_groups(model, 1.0, 0.5, 0.1)
    assert not any(name.startswith("backbone") for name in described(model, groups))
    assert len(groups) == 2


def test_nothing_to_train_is_refused():
    with pytest.raises(UserError, match="no parameter of the detector is trainable"):
        parameter_groups(Detector().requires_grad_(False), 1.0, 0.5, 0.1)


@pytest.mark.parametrize("optimizer", [SGD, AdamW])
def test_learning_rate_is_scaled_only_on_request(optimizer):
    as_given = optimizer(learning_rate=0.02)(Detector(), 8)
    scaled = optimizer(learning_rate=0.02, reference_batch=16)(Detector(), 8)
    assert {group["lr"] for group in as_given.param_groups} == {0.02}
    assert {group["lr"] for group in scaled.param_groups} == {0.01}


def test_sgd_step_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    step = SGD(learning_rate=0.1, momentum=0.5, weight_decay=0.5)(model, 1)
    for _ in range(2):  # gradients 3: 3 + .5 * 2 = 4 -> 1.6; 3 + .5 * 1.6 + .5 * 4 = 5.8 -> 1.02
        model.weight.grad = torch.full((1, 1), 3.0)
        step.step()
    torch.testing.assert_close(model.weight.data, torch.tensor([[1.02]]))


def test_adamw_step_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    step = AdamW(learning_rate=0.1, weight_decay=0.5, betas=(0.9, 0.99))(model, 1)
    model.weight.grad = torch.full((1, 1), 3.0)
    step.step()  # decay: 2 - .1 * .5 * 2 = 1.9; the first step of Adam is the learning rate
    torch.testing.assert_close(model.weight.data, torch.tensor([[1.8]]))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(UserError, match="nesterov needs a momentum above 0"):
        SGD(momentum=0.0, nesterov=True)
