"""The regions that an RPN proposes and what it learns, with layers whose outputs are set here."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from detkit import assembly
from detkit.config.pages import filled
from detkit.errors import UserError
from detkit.structures import Assignment, DensePredictions, FeatureSpec, PaddedTargets, Target

padded = PaddedTargets.of

FEATURES = [torch.zeros(2, 4, 4, 4), torch.zeros(2, 4, 2, 2)]
SIZES = torch.tensor([[64.0, 64.0], [64.0, 40.0]])
SPECS = [FeatureSpec(4, 16), FeatureSpec(4, 32)]
PRIORS = 4 * 4 + 2 * 2  # square anchors as large as their stride, so they tile the image
NMS = {"name": "nms", "score_threshold": 0.0}


def rpn(**values):
    anchors = {"name": "anchors", "scale": 1.0, "octaves": 1, "ratios": [1.0]}
    node = filled("proposer", {"name": "rpn", "priors": anchors, **values})
    wiring = {"feature_specs": SPECS, "num_classes": 3, "class_names": ["a", "b", "c"]}
    return assembly.build("proposer", node, wiring, ("model", "proposer"))


class Says(nn.Module):
    """Layers that give the same answer for both images."""

    def __init__(self, logits, codes=None):
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits).float())
        self.codes = nn.Parameter(torch.zeros(len(self.logits), 4) if codes is None else codes)

    def forward(self, features):
        logits, codes = self.logits[None, :, None], self.codes[None]
        return DensePredictions(logits.expand(2, -1, -1), codes.expand(2, -1, -1), None)


def saying(logits, codes=None, **values):
    proposer = rpn(**values)
    proposer.layers = Says(logits, codes)
    return proposer


def target(*boxes, label=0):
    count = len(boxes)
    return Target(
        torch.tensor(boxes).float().view(-1, 4),
        torch.full((count,), label),
        torch.zeros(count, dtype=torch.bool),
    )


def test_regions_come_best_first():
    logits = torch.arange(PRIORS).float() / 10
    first, second = saying(logits).propose(FEATURES, SIZES).split()
    assert first[0].tolist() == [32, 32, 64, 64]
    assert first[4].tolist() == [48, 48, 64, 64]
    assert second[:, 2].max() == 40


def test_regions_that_the_border_leaves_nothing_of_are_dropped():
    regions = saying(torch.zeros(PRIORS)).propose(FEATURES, SIZES)
    second = regions.split()[1]
    # Of the image of 40 x 64: the last column of fine cells starts at 48.
    assert len(second) == 4 * 3 + 4
    assert (second[:, 2] > second[:, 0]).all()
    assert not regions.boxes[~regions.mask].any()


@pytest.mark.parametrize(("least", "kept"), [(8.0, 16), (8.1, 10), (16.1, 2), (100.0, 0)])
def test_small_regions_are_dropped(least, kept):
    # 40 pixels are two cells of 16 and one of 8, or one of 32 and one of 8.
    regions = saying(torch.zeros(PRIORS), min_size=least).propose(FEATURES, SIZES)
    assert regions.mask[1].sum() == kept


def test_regions_of_different_levels_do_not_suppress_each_other():
    codes = torch.zeros(PRIORS, 4)
    codes[16, 2:] = torch.tensor(0.5).log()  # the first coarse anchor, made 16 x 16 ...
    codes[16, :2] = -0.25  # ... and moved onto the first fine one
    first, _ = saying(torch.zeros(PRIORS), codes).propose(FEATURES, SIZES).split()
    same = (first == torch.tensor([0.0, 0, 16, 16])).all(dim=1)
    assert same.sum() == 2


def test_overlapping_regions_of_a_level_are_suppressed():
    codes = torch.zeros(PRIORS, 4)
    codes[1, 0] = -0.9  # IoU with the first anchor: 14.4 / 17.6
    logits = torch.zeros(PRIORS)
    logits[0] = 1.0
    regions = saying(logits, codes).propose(FEATURES, SIZES)
    assert regions.mask[0].sum() == PRIORS - 1


def test_candidates_are_limited_by_level_and_regions_in_all():
    limits = {**NMS, "max_candidates": 3, "max_detections": 5}
    regions = saying(torch.arange(PRIORS) / 10, postprocess=limits).propose(FEATURES, SIZES)
    assert regions.boxes[0, :3, 0].tolist() == [32, 0, 32]
    assert regions.mask.shape == (2, 5)


def test_training_has_limits_of_its_own():
    proposer = saying(
        torch.zeros(PRIORS),
        postprocess={**NMS, "max_detections": 2},
        training_postprocess={**NMS, "max_detections": 4},
    )
    assert proposer.propose(FEATURES, SIZES).mask.sum(dim=1).tolist() == [2, 2]
    _, regions = proposer.loss_and_proposals(FEATURES, padded([target()] * 2), SIZES)
    assert regions.mask.sum(dim=1).tolist() == [4, 4]
    assert not regions.boxes.requires_grad


# pain 14
def test_an_image_without_room_for_a_region_proposes_nothing():
    sizes = torch.tensor([[64.0, 64.0], [9.0, 9.0]])
    regions = saying(torch.zeros(PRIORS), min_size=17.0).propose(FEATURES, sizes)
    assert regions.mask.sum(dim=1).tolist() == [4, 0]


class Listed:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, targets):
        matched = torch.full((2, PRIORS), -1)
        for row, count in zip(matched, targets.counts, strict=True):
            row[:count] = torch.arange(count)
        return Assignment(matched)


class FirstFive:
    ranks_by: ClassVar = "nothing"

    def __call__(self, matched, losses):
        return (torch.arange(PRIORS) < 5).expand(2, -1)


def test_losses_are_divided_by_the_sampled_anchors():
    proposer = saying(torch.zeros(PRIORS), box_loss={"name": "l1"})
    proposer.assigner, proposer.sampler = Listed(), FirstFive()
    box = [0, 0, 16, 32]  # the first anchor is its upper half: shift 0, .5 and log 2
    losses = proposer.loss(FEATURES, padded([target(box, label=2), target()]))
    assert losses["loss/classification"].item() == pytest.approx(0.6931, abs=1e-4)
    assert losses["loss/box"].item() == pytest.approx((0.5 + 0.6931) / 10, abs=1e-4)


def test_losses_are_those_of_loss_and_whatever_the_classes():
    proposer = saying(torch.zeros(PRIORS), sampler={"name": "keep_all"})
    objects = [[0.0, 0, 16, 16], [32, 32, 64, 64]]
    alone = proposer.loss(FEATURES, padded([target(*objects), target()]))
    targets = [target(*objects, label=2), target()]
    together, _ = proposer.loss_and_proposals(FEATURES, padded(targets), SIZES)
    assert alone == together
    assert alone["loss/classification"] > 0


# pain 14, pain 15
@pytest.mark.parametrize("boxes", [[], [[4.0, 4, 30, 34]]])
def test_every_layer_learns_with_and_without_objects(boxes):
    proposer = rpn(layers={"name": "rpn", "convs": 2})
    losses, _ = proposer.loss_and_proposals(FEATURES, padded([target(*boxes), target()]), SIZES)
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in proposer.parameters())
    assert (losses["loss/box"] > 0) == bool(boxes)


def test_softmax_objectness_has_a_logit_of_background():
    layers = {"name": "rpn", "prior_probability": 0.2}
    proposer = rpn(classification_loss={"name": "cross_entropy"}, layers=layers)
    assert proposer(FEATURES).class_logits.shape == (2, PRIORS, 2)
    assert proposer.propose(FEATURES, SIZES).mask.any(dim=1).all()


def test_levels_that_differ_in_channels_are_refused():
    node = filled("proposer", {"name": "rpn"})
    specs = [FeatureSpec(4, 8), FeatureSpec(8, 16)]
    wiring = {"feature_specs": specs, "num_classes": 3, "class_names": ["a", "b", "c"]}
    with pytest.raises(UserError, match=r"same channels on each, got \[4, 8\]"):
        assembly.build("proposer", node, wiring, ("model", "proposer"))
