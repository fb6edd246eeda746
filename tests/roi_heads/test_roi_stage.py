"""Losses of a stage, with parts simple enough to compute the values by hand."""

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from detkit.ops.selection import fixed_shapes
from detkit.roi_heads import stage as stage_module
from detkit.roi_heads.stage import Stage
from detkit.structures import Assignment, PaddedTargets, Regions, Target

FEATURES = [torch.zeros(2, 1, 2, 2)]
HERE = [[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 8, 8, 16], [8, 8, 16, 16]]


class Corners:
    """Pools a region's own corners."""

    region_shape = (4, 1, 1)

    def __call__(self, features, boxes, image):
        return boxes + 0 * features[0].sum()


class Nothing(nn.Module):
    """A box head with a single feature 0, so only biases count."""

    out_channels = 1

    def forward(self, regions):
        return 0 * regions[:, :1]


class Shift:
    """Codes are the shifts of the corners."""

    code_size = 4

    def encode(self, boxes, priors):
        return boxes - priors.boxes

    def decode(self, codes, priors):
        return priors.boxes + codes


class Listed:
    """Matches what the test says, by the left side of the region."""

    uses_predictions = False

    def __init__(self, matches, soft=None):
        self.matches, self.soft, self.seen = matches, soft, []

    def __call__(self, priors, scores, boxes, targets):
        self.seen.append((priors, scores, boxes, targets))
        corners = [[tuple(box) for box in image] for image in priors.boxes.tolist()]
        matched = torch.tensor([[self.matches.get(c, 0) for c in image] for image in corners])
        return Assignment(matched, None if self.soft is None else self.soft.expand_as(matched))


class Keep:
    def __init__(self, ranks_by="nothing"):
        self.ranks_by, self.seen = ranks_by, None

    def __call__(self, matched, losses):
        self.seen = (matched, losses)
        return matched != -2


class Picks(Keep):
    """Samples up to two regions of each image."""

    number = 2

    def __call__(self, matched, losses):
        return torch.tensor([[False, True, False, True], [True, False, False, False]])


class OnePerRegion:
    """A loss of 1 for background, 10 for class 0 and 100 for class 1."""

    space, weight, activation, normalised = "classes", 2.0, "sigmoid", False

    def __call__(self, logits, labels, scores=None):
        return torch.tensor([10.0, 100.0, 7.0, 1.0])[labels] + 0 * logits.sum(dim=-1)


class Difference:
    weight = 3.0

    def __init__(self, space="codes"):
        self.space = space

    def __call__(self, predicted, target):
        return (predicted - target).abs().sum(dim=-1)


def make(matches=(-1, -1, -1, -1), class_agnostic=False, **changes):
    parts = {
        "pooling": Corners(),
        "box_head": Nothing(),
        "assigner": Listed(dict(zip(map(tuple, HERE), matches, strict=True))),
        "sampler": Keep(),
        "box_coder": Shift(),
        "classification_loss": OnePerRegion(),
        "box_loss": Difference(),
    }
    return Stage(num_classes=2, class_agnostic=class_agnostic, **{**parts, **changes})


def regions(*counts):
    return Regions.of([torch.tensor(HERE[:count]).view(-1, 4) for count in counts])


def target(*labels, ignored=()):
    boxes = torch.tensor([[0.0, 0, 16, 16]]).repeat(len(labels), 1)
    flags = [place in ignored for place in range(len(labels))]
    return Target(boxes, torch.tensor(labels).long(), torch.tensor(flags, dtype=torch.bool))


def values(stage, given, targets):
    sampled = stage.sample(FEATURES, given, PaddedTargets.of(targets))
    losses = stage.losses(stage(FEATURES, sampled.regions), sampled)
    return {name.removeprefix("loss/"): value.item() for name, value in losses.items()}


def test_losses_are_summed_weighted_and_divided_by_all_sampled_regions():
    losses = values(make((0, -1, -1, -2)), regions(4, 2), [target(1), target(0)])
    # 100 and twice background; 10 and background; of five sampled regions two are positive.
    assert losses["classification"] == pytest.approx(2 * (100 + 1 + 1 + 10 + 1) / 5)
    assert losses["box"] == pytest.approx(3 * (16 + 16) / 5)


def test_the_codes_of_the_objects_class_learn():
    stage = make((0, -1, -1, -1))
    with torch.no_grad():
        stage.box_layer.bias.copy_(torch.arange(8.0))  # code 0 of both classes, code 1, ...
    losses = values(stage, regions(1, 0), [target(1), target()])
    # Class 1 says 1, 3, 5, 7 where 0, 0, 8, 8 is right.
    assert losses["box"] == pytest.approx(3 * (1 + 3 + 3 + 1))


@pytest.mark.parametrize("space", ["boxes", "codes"])
def test_the_box_loss_gets_what_its_space_says(space):
    seen = {}

    class Spy(Difference):
        def __call__(self, predicted, target):
            seen["target"] = target.tolist()
            return super().__call__(predicted, target)

    stage = make((-1, 0, -1, -1), box_loss=Spy(space))
    values(stage, regions(2, 0), [target(0), target()])
    assert seen["target"] == {"boxes": [[0, 0, 16, 16]], "codes": [[-8, 0, 0, 8]]}[space]


def test_ignored_objects_are_hidden_and_regions_in_them_do_not_count():
    stage = make()
    losses = values(stage, regions(4, 1), [target(0, 1, ignored=[0]), target()])
    assert stage.assigner.seen[0][3].labels.tolist() == [[1], [0]]
    assert stage.assigner.seen[0][3].counts == (1, 0)
    assert losses["classification"] == pytest.approx(2 * 1)  # of the second image's region


def test_images_may_have_no_region_while_others_have():
    stage = make((0, -1, -1, -1))
    losses = values(stage, regions(0, 2), [target(0), target(1)])
    assert stage.sampler.seen[0].tolist() == [[-2, -2], [0, -1]]
    assert losses["classification"] == pytest.approx(2 * (100 + 1) / 2)


# pain 14
@pytest.mark.parametrize("matches", [(-1, -1, -1, -1), (-2, -2, -2, -2)])
@pytest.mark.parametrize("counts", [(0, 0), (3, 0), (2, 2)])
def test_without_positives_all_is_finite_and_everything_has_a_gradient(matches, counts):
    stage = make(matches)
    sampled = stage.sample(FEATURES, regions(*counts), PaddedTargets.of([target()] * 2))
    losses = stage.losses(stage(FEATURES, sampled.regions), sampled)
    assert losses["loss/box"] == 0
    assert losses["loss/classification"] == (0 if -2 in matches or sum(counts) == 0 else 2)
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in stage.parameters())


def test_a_sampler_of_losses_gets_those_of_all_regions():
    stage = make((0, -1, 1, -2), sampler=Keep(ranks_by="losses"))
    stage.sample(FEATURES, regions(4, 1), PaddedTargets.of([target(1, 0), target(0)]))
    matched, losses = stage.sampler.seen
    assert matched.tolist() == [[0, -1, 1, -2], [0, -2, -2, -2]]
    assert losses[0, :3].tolist() == [100, 1, 10]
    assert losses[1].tolist() == [10, 0, 0, 0]
    assert not losses.requires_grad


def test_a_sampler_of_overlaps_gets_those_of_all_regions():
    stage = make((0, -1, 1, -2), sampler=Keep(ranks_by="overlaps"))
    objects = [target(1, 0), target()]
    stage.sample(FEATURES, regions(4, 1), PaddedTargets.of(objects))
    _, overlaps = stage.sampler.seen
    expected = box_iou(torch.tensor(HERE), objects[0].boxes).amax(dim=1)
    torch.testing.assert_close(overlaps, torch.stack([expected, torch.zeros(4)]))
    assert expected.max() > 0


def test_an_assigner_of_predictions_gets_the_box_of_the_best_class():
    stage = make()
    stage.assigner.uses_predictions = True
    with torch.no_grad():
        stage.class_layer.bias.copy_(torch.tensor([0.0, 9.0]))
        stage.box_layer.bias.copy_(torch.tensor([0.0, 1, 0, 2, 0, 3, 0, 4]))
    stage.sample(FEATURES, regions(1, 2), PaddedTargets.of([target(0)] * 2))
    _, scores, boxes, _ = stage.assigner.seen[0]
    assert scores.shape == (2, 2, 2)
    assert boxes[1].tolist() == [[1, 2, 11, 12], [9, 2, 19, 12]]
    assert not boxes.requires_grad


def test_sampled_regions_are_averaged_over_ranks_on_every_rank(monkeypatch):
    calls = []

    def other_rank_has_three(value):
        calls.append(value)
        return (value + 3) / 2

    monkeypatch.setattr(stage_module, "Divisors", lambda: other_rank_has_three)
    assert values(make((0, -1, -1, -1)), regions(1, 0), [target(0)] * 2)["box"] == 3 * 16 / 2
    values(make(), regions(0, 0), [target()] * 2)
    assert len(calls) == 2


def test_regions_are_priors_as_large_as_their_stride():
    stage = make()
    stage.sample(FEATURES, regions(1, 0), PaddedTargets.of([target(0)] * 2))
    priors = stage.assigner.seen[0][0]
    assert (priors.stride[0].tolist(), priors.level[0].tolist()) == ([8], [0])


def test_soft_targets_reach_both_losses():
    class Spy(OnePerRegion):
        def __call__(self, logits, labels, scores=None):
            self.seen = scores
            return super().__call__(logits, labels)

    matches = dict(zip(map(tuple, HERE), (0, -1, -1, 0), strict=True))
    soft = torch.tensor([0.25, 0.0, 0.0, 0.75])
    stage = make(assigner=Listed(matches, soft), classification_loss=Spy())
    losses = values(stage, regions(4, 0), [target(1), target()])
    assert stage.classification_loss.seen.tolist() == soft.tolist()
    # Corners move by 0, 0, 8, 8 and by 8, 8, 0, 0; four regions are sampled.
    assert losses["box"] == pytest.approx(3 * (0.25 * 16 + 0.75 * 16) / 4)


def test_a_normalised_loss_is_divided_by_nothing():
    loss = OnePerRegion()
    loss.normalised = True
    losses = values(make((0, -1, -1, -2), classification_loss=loss), regions(4, 2), [target(1)] * 2)
    assert losses["classification"] == pytest.approx(2 * (100 + 1 + 1 + 100 + 1))


def test_each_image_has_as_many_columns_as_the_sampler_may_sample():
    stage = make((0, -1, -2, -1), sampler=Picks())
    sampled = stage.sample(FEATURES, regions(4, 2), PaddedTargets.of([target(1)] * 2))
    assert sampled.in_loss.tolist() == [[True, True], [True, False]]
    assert sampled.regions.boxes.tolist() == [HERE[1], HERE[3], HERE[0]]
    with fixed_shapes():
        padded = stage.sample(FEATURES, regions(4, 2), PaddedTargets.of([target(1)] * 2))
    assert padded.regions.boxes[:3].tolist() == sampled.regions.boxes.tolist()
    assert padded.regions.image.tolist() == [0, 0, 1, 1]
