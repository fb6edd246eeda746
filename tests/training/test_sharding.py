"""A detector with weights sharded over a single rank."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from training_fakes import TinyDetector, batch

from detkit.errors import UserError
from detkit.training.sharding import (
    blocks_of,
    divide,
    divide_again,
    divided_like,
    gather_weights,
    gathered,
    on_its_own,
    part_of,
    pieces_of,
    unreached,
    whole,
)
from detkit.training.step_replay import replay_step


class Convolutions(nn.Module):
    """Has 1.2 million weights."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Linear(775, 775) for _ in range(2))

    def forward(self, features):
        return self.second(self.first(features))


class Stages(nn.Module):
    """As backbones are: a stem, and blocks in a row, some of them one row deeper."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(2000, 2000)
        self.rows = nn.Sequential(nn.Sequential(Convolutions(), nn.ReLU()), Convolutions())
        self.more = nn.ModuleList([nn.Linear(2, 2)])


def total(detector):
    return sum(detector.loss(batch(1)).values())


def test_pieces_are_the_large_blocks_of_a_row_then_backbone_and_neck():
    detector = nn.Module()
    detector.backbone, detector.neck, detector.head = Stages(), nn.Linear(1, 1), Stages()
    rows = detector.backbone.rows
    assert blocks_of(detector.backbone) == [rows[0][0], rows[1]]
    assert pieces_of(detector) == [rows[0][0], rows[1], detector.backbone, detector.neck]


def test_a_divided_detector_has_the_gradients_of_a_whole_one(one_rank):
    detector = TinyDetector()
    twin = copy.deepcopy(detector)
    divide(detector, one_rank)
    for each in (detector, twin):
        total(each).backward()
    own = dict(detector.named_parameters())
    assert all(isinstance(value, DTensor) for value in own.values())
    for name, value in twin.named_parameters():
        torch.testing.assert_close(whole(own[name].grad), value.grad, msg=name)


def test_buffers_stay_whole(one_rank):
    detector = TinyDetector()
    divide(detector, one_rank)
    assert not any(isinstance(value, DTensor) for value in detector.buffers())


def test_gathered_weights_stay_through_predictions_until_they_are_divided_again(one_rank):
    detector = TinyDetector()
    divide(detector, one_rank)
    total(detector).backward()
    gather_weights(detector)
    with torch.no_grad():
        for number in range(2):
            detector.predict(batch(number))
            assert not any(isinstance(value, DTensor) for value in detector.parameters())
    divide_again(detector)
    assert all(isinstance(value, DTensor) for value in detector.parameters())


def test_a_step_is_repeated_on_its_own_and_leaves_no_gradients(one_rank):
    detector = TinyDetector()
    twin = copy.deepcopy(detector)
    divide(detector, one_rank)
    with on_its_own(detector):
        found = replay_step(detector, batch(1), "32-true")
    assert found.gradients == replay_step(twin, batch(1), "32-true").gradients
    assert len(found.gradients) == 6
    assert all(value.grad is None for value in detector.parameters())


def test_parameters_that_the_loss_does_not_reach_are_named(one_rank):
    class Idle(TinyDetector):
        def __init__(self):
            super().__init__()
            self.extra = nn.Linear(1, 1)
            self.frozen = nn.Linear(1, 1).requires_grad_(False)

    detector = Idle()
    divide(detector, one_rank)
    assert unreached(total(detector), detector) == ["extra.weight", "extra.bias"]
    assert unreached(torch.tensor(0.0), TinyDetector())[0] == "backbone.0.weight"


def test_a_parameter_without_an_axis_is_refused_by_name(one_rank):
    detector = TinyDetector()
    detector.head.scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(UserError, match=r"head\.scale has none: make it torch\.ones\(1\)"):
        divide(detector, one_rank)


def test_tensors_are_divided_and_gathered_with_the_same_values(one_rank):
    detector = TinyDetector()
    divide(detector, one_rank)
    weight, value = detector.head.weight, torch.randn(1, 4)
    divided = divided_like(value, weight)
    assert isinstance(divided, DTensor)
    assert torch.equal(part_of(divided), value)
    found = gathered({"divided": divided, "plain": value}, keep=True)
    assert {name: type(one) for name, one in found.items()} == dict.fromkeys(found, torch.Tensor)
    assert all(torch.equal(one, value) for one in found.values())
    assert gathered({"divided": divided}, keep=False) == {}
    assert divided_like(value, torch.zeros(3)) is value
