"""RefineDet's two steps: losses and boxes by hand, and the filter between the steps."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.structures import IGNORED, PaddedTargets, Target

SIZES = [(8, 12), (4, 6), (2, 3)]
IMAGE_SIZES = torch.tensor([[64.0, 96.0], [64.0, 96.0]])
BOX = [12.0, 10.0, 52.0, 50.0]
STDS = (0.1, 0.1, 0.2, 0.2)


def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 8, *size, generator=generator) for size in SIZES]


def targets():
    box = Target(torch.tensor([BOX]), torch.tensor([1]), torch.tensor([False]))
    return PaddedTargets.of([box, Target.empty()])


def constant(layers, logits, codes):
    """Let layers predict the same at every anchor."""
    for kind, values in (("class_layers", logits), ("box_layers", codes)):
        for layer in getattr(layers, kind):
            torch.nn.init.zeros_(layer.weight)
            layer.bias.data.copy_(torch.tensor(values).repeat(3))


def decoded(anchors, code):
    """Boxes (P, 4) of centre shifts and log sizes, divided by the deviations."""
    code = [value * std for value, std in zip(code, STDS, strict=True)]
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sides / 2 + sides * torch.tensor(code[:2])
    half = sides * torch.tensor(code[2:]).exp() / 2
    return torch.cat([centres - half, centres + half], dim=1)


@pytest.fixture
def head(build_head):
    head = build_head("refinedet")
    constant(head.refinement.layers, [2.0, 0.0], [0.5, -0.5, 0.4, -0.4])
    constant(head.layers, [0.0, 1.0, 2.0, 3.0], [-0.2, 0.3, 0.1, 0.2])
    return head


def matched_by_hand(anchors):
    """(P,) whether an anchor has an IoU of 0.5 with the box, or the highest of all."""
    box = torch.tensor(BOX)
    low, high = anchors[:, :2].maximum(box[:2]), anchors[:, 2:].minimum(box[2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = (anchors[:, 2:] - anchors[:, :2]).prod(dim=1)
    iou = shared / (areas + 40 * 40 - shared)
    return (iou >= 0.5) | (iou == iou.max())


def box_loss(anchors, positive, code):
    """Smooth L1 between a code and the box's codes at the positives, summed."""
    anchors = anchors[positive]
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = torch.tensor([32.0, 30.0])
    shifts = (centres - anchors[:, :2] - sides / 2) / sides
    codes = torch.cat([shifts, (40 / sides).log()], dim=1) / torch.tensor(STDS)
    return F.smooth_l1_loss(torch.tensor(code).expand_as(codes), codes, reduction="sum")


def require_losses(losses, prefix, positive, class_losses, boxes):
    """Three negatives per positive and for the empty image, which adds ten to the divisor."""
    count = int(positive.sum())
    hit, miss = class_losses
    expected = (hit * count + miss * 3 * (count + 1)) / (count + 10)
    assert losses[f"loss/{prefix}classification"].item() == pytest.approx(expected, rel=1e-5)
    assert losses[f"loss/{prefix}box"].item() == pytest.approx(
        boxes.item() / (count + 10), rel=1e-5
    )


def test_losses_of_the_first_step_by_hand(head):
    anchors = head.priors(SIZES, torch.device("cpu")).boxes
    positive = matched_by_hand(anchors)
    normaliser = math.log(math.exp(2) + 1)
    boxes = box_loss(anchors, positive, [0.5, -0.5, 0.4, -0.4])
    losses = head.loss(features(), targets())
    require_losses(losses, "refinement_", positive, (normaliser - 2, normaliser), boxes)


def test_losses_of_the_second_step_by_hand_at_the_refined_anchors(head):
    anchors = decoded(head.priors(SIZES, torch.device("cpu")).boxes, [0.5, -0.5, 0.4, -0.4])
    positive = matched_by_hand(anchors)
    normaliser = math.log(sum(map(math.exp, range(4))))
    boxes = box_loss(anchors, positive, [-0.2, 0.3, 0.1, 0.2])
    losses = head.loss(features(), targets())
    require_losses(losses, "", positive, (normaliser - 1, normaliser - 3), boxes)


def test_boxes_are_decoded_twice(head):
    first = decoded(head.priors(SIZES, torch.device("cpu")).boxes, [0.5, -0.5, 0.4, -0.4])
    expected = decoded(first, [-0.2, 0.3, 0.1, 0.2]).clamp(min=0)
    expected = expected.minimum(torch.tensor([96.0, 64.0, 96.0, 64.0]))
    boxes, _ = head.boxes_and_scores(features(), IMAGE_SIZES)
    torch.testing.assert_close(boxes, expected.expand_as(boxes), rtol=0, atol=1e-3)


def test_anchors_that_look_like_background_neither_train_nor_detect(head):
    constant(head.refinement.layers, [0.0, math.log(100)], [0.0] * 4)  # objectness below 0.01
    losses = head.loss(features(), targets())
    _, matched = head.assign(features(), targets())
    assert (matched == IGNORED).all()
    assert losses["loss/classification"] == losses["loss/box"] == 0
    assert head.boxes_and_scores(features(), IMAGE_SIZES)[1].eq(0).all()
    assert head.predict(features(), IMAGE_SIZES).counts.eq(0).all()


def test_only_filtered_anchors_are_left_out(head):
    for layer in head.refinement.layers.class_layers:
        layer.bias.data[:2] = torch.tensor([0.0, 9.0])  # the first anchor of each cell
    _, matched = head.assign(features(), targets())
    is_first = torch.arange(matched.shape[1]) % 3 == 0
    assert (matched[:, is_first] == IGNORED).all()
    assert (matched[:, ~is_first] != IGNORED).all()


def test_a_threshold_of_0_filters_nothing(build_head):
    head = build_head("refinedet", objectness_threshold=0.0)
    constant(head.refinement.layers, [0.0, 20.0], [0.0] * 4)
    assert (head.assign(features(), targets())[1] != IGNORED).all()


def test_the_second_step_sends_no_gradient_into_the_first(build_head):
    head = build_head("refinedet")
    losses = head.loss(features(), targets())
    second = losses["loss/classification"] + losses["loss/box"]
    gradients = torch.autograd.grad(second, head.refinement.parameters(), allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def test_the_objectness_may_be_a_sigmoid(build_head):
    head = build_head("refinedet", refinement_classification_loss={"name": "bce"})
    assert head.refinement.layers.class_layers[0].out_channels == 3  # one logit for each anchor
    for layer in head.refinement.layers.class_layers:
        layer.bias.data.fill_(-9.0)
        torch.nn.init.zeros_(layer.weight)
    assert (head.assign(features(), targets())[1] == IGNORED).all()


def test_a_transfer_neck_that_adds_levels_is_refused(build_head):
    with pytest.raises(UserError, match=r"keep the levels of strides \[8, 16, 32\].*, 64, 128\]"):
        build_head("refinedet", transfer_neck={"name": "fpn", "out_channels": 8})


def test_it_runs_on_the_meta_device(build_head):  # as `detkit plan` does
    outputs = build_head("refinedet").to("meta")([level.to("meta") for level in features()])
    assert outputs.class_logits.shape == (2, 378, 4)
    assert outputs.quality.shape == (2, 378)


# The second step must see the score that the first step's loss learns.
@pytest.mark.parametrize(
    ("loss", "logits", "score"),
    [
        ("focal", [2.0], 1 / (1 + math.exp(-2))),
        ("cross_entropy", [2.0, 3.0], 1 / (1 + math.e)),
        ("seesaw", [9.0, 3.0], 1 / (1 + math.exp(3))),
        ({"name": "squared_score", "linear": True}, [0.3], 0.3),
    ],
)
def test_the_objectness_is_the_score_of_the_first_steps_loss(build_head, loss, logits, score):
    head = build_head("refinedet", refinement_classification_loss=loss)
    constant(head.refinement.layers, logits, [0.0] * 4)
    objectness = head.forward(features()).quality.sigmoid()
    assert_close(objectness, torch.full_like(objectness, score))
