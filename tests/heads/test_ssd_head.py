"""The head of SSD, its own layers for each level, and images without objects."""

import pytest
import torch
from torch import nn

from detkit.structures import PaddedTargets, Target

SIZES = [(8, 12), (4, 6), (2, 3)]


def features():
    torch.manual_seed(0)
    return [torch.randn(2, 8, *size) for size in SIZES]


def one_object():
    return Target(torch.tensor([[4.0, 4, 40, 44]]), torch.tensor([1]), torch.tensor([False]))


@pytest.fixture(params=["ssd", "ssdlite"])
def name(request):
    return request.param


def test_each_level_has_layers_for_its_own_number_of_priors(build_head, name):
    head = build_head(name, priors={"name": "ssd_boxes", "aspect_ratios": [[2.0], [2.0, 3.0], []]})
    logits, codes, quality = head(features())
    count = 96 * 4 + 24 * 6 + 6 * 2
    assert logits.shape == (2, count, 4)  # three classes and background
    assert codes.shape == (2, count, 4)
    assert quality is None


def test_predictions_are_in_the_order_of_the_priors(build_head):
    head = build_head("ssd", priors={"name": "ssd_boxes", "aspect_ratios": [[2.0], [2.0], []]})
    for layer in head.layers.class_layers:
        nn.init.zeros_(layer.weight)
        numbers = torch.arange(float(len(layer.bias)))  # prior after prior, class after class
        layer.bias.data.copy_(numbers)
    logits = head(features()).class_logits
    assert logits[0, :5, 0].tolist() == [0, 4, 8, 12, 0]
    assert logits[0, -2:].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_an_untrained_head_gives_all_classes_the_same_or_the_asked_score(build_head, name):
    zeros = [level * 0 for level in features()]
    even = build_head(name).eval()(zeros).class_logits.softmax(dim=-1)
    rare = (
        build_head(name, layers={"prior_probability": 0.01})
        .eval()(zeros)
        .class_logits.softmax(dim=-1)
    )
    torch.testing.assert_close(even, torch.full_like(even, 0.25))
    torch.testing.assert_close(rare[..., -1], torch.full_like(rare[..., -1], 0.99))


def test_background_is_learned_from_an_image_without_objects(build_head, name):  # pain 14
    head = build_head(name)
    losses = head.loss(features(), PaddedTargets.of([one_object(), Target.empty()]))
    gradient = torch.autograd.grad(
        losses["loss/classification"], head.layers.parameters(), allow_unused=True
    )
    alone = head.loss([level[1:] for level in features()], PaddedTargets.of([Target.empty()]))
    assert losses["loss/classification"] > 0
    assert alone["loss/classification"] > 0
    assert gradient[0] is not None


def test_torchvisions_sampling_learns_nothing_from_it(build_head, name):
    head = build_head(name, sampler={"name": "hard_negatives", "minimum": 0})
    losses = head.loss(features(), PaddedTargets.of([Target.empty()] * 2))  # pain 15
    assert losses["loss/classification"] == 0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_loss_of_a_batch_is_counted_by_hand(build_head):
    head = build_head("ssd", priors={"name": "ssd_boxes", "image_size": [64, 96]})
    for layer in [*head.layers.class_layers, *head.layers.box_layers]:
        nn.init.zeros_(layer.weight)
    targets = PaddedTargets.of([one_object(), Target.empty()])
    losses = head.loss(features(), targets)
    maps = features()
    priors = head.priors(SIZES, maps[0].device)
    positives = int((head.assigner(priors, None, None, targets).matched >= 0).sum())
    # Even odds of four: log 4 for each positive, for three times as many background priors, and
    # for the three of the image without objects.
    count = positives + 3 * positives + 3
    expected = torch.tensor(4.0).log() * count / (positives + 10)  # which the empty image adds
    torch.testing.assert_close(losses["loss/classification"], expected)
