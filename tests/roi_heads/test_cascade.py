"""The path of regions through the three stages, with fixed outputs of each stage."""

import pytest
import torch
from torch.testing import assert_close

from detkit import assembly
from detkit.config.pages import filled
from detkit.structures import FeatureSpec, PaddedTargets, Regions, Target

FEATURES = [torch.ones(2, 3, 8, 8)]
SIZES = torch.tensor([[64.0, 64.0], [64.0, 40.0]])
WIRING = {
    "feature_specs": [FeatureSpec(3, 8)],
    "num_classes": 2,
    "class_names": ["a", "b"],
}


def cascade(**values):
    torch.manual_seed(0)
    small = {"box_head": {"name": "two_fc", "width": 4}, "sampler": {"name": "keep_all"}}
    node = filled("roi_head", {"name": "cascade", **small, **values})
    return assembly.build("roi_head", node, WIRING, ("model", "roi_head"))


def answer(stage, codes=(0.0, 0, 0, 0), logits=(0.0, 0, 0)):
    """Let a stage give the same answer for every region."""
    with torch.no_grad():
        for layer, values in ((stage.box_layer, codes), (stage.class_layer, logits)):
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor(values))


def target(*boxes):
    count = len(boxes)
    return Target(
        torch.tensor(boxes).float().view(-1, 4),
        torch.zeros(count, dtype=torch.int64),
        torch.zeros(count, dtype=torch.bool),
    )


def seen_by(head, regions, targets):
    """The regions that each stage sampled from, by stage and image."""
    seen = []
    for stage in head.stages:
        original = stage.sample

        def sample(features, given, objects, original=original):
            seen.append([boxes.tolist() for boxes in given.split()])
            return original(features, given, objects)

        stage.sample = sample
    losses = head.loss(FEATURES, Regions.of(regions), PaddedTargets.of(targets), SIZES)
    return seen, losses


def test_each_stage_refines_the_boxes_of_the_previous_one():
    head = cascade(add_objects=False)
    # Codes times stds times sides: 10 * .1 * 16 = 16 pixels, then 10 * .05 * 16 = 8.
    for stage in head.stages:
        answer(stage, codes=(10.0, 0, 0, 0))
    boxes = torch.tensor([[0.0, 0, 16, 16]])
    seen, _ = seen_by(head, [boxes, boxes], [target()] * 2)
    assert seen[0][0] == [[0, 0, 16, 16]]
    assert_close(torch.tensor(seen[1][0]), torch.tensor([[16.0, 0, 32, 16]]))
    assert_close(torch.tensor(seen[2][0]), torch.tensor([[24.0, 0, 40, 16]]))


def test_refined_regions_are_cut_to_their_own_image_and_dropped_when_nothing_is_left():
    head = cascade(add_objects=False)
    answer(head.stages[0], codes=(10.0, 0, 0, 0))
    boxes = torch.tensor([[16.0, 0, 32, 16], [30.0, 0, 46, 16]])
    seen, losses = seen_by(head, [boxes, boxes], [target()] * 2)
    assert_close(torch.tensor(seen[1][0]), torch.tensor([[32.0, 0, 48, 16], [46.0, 0, 62, 16]]))
    assert_close(torch.tensor(seen[1][1]), torch.tensor([[32.0, 0, 40, 16]]))
    assert all(value.isfinite() for value in losses.values())


def test_objects_are_among_the_regions_of_each_stage_unless_left_out():
    box = [[4.0, 4, 20, 20]]
    nothing = [torch.zeros(0, 4)] * 2
    seen, _ = seen_by(cascade(), nothing, [target(*box), target()])
    assert [len(stage[0]) for stage in seen] == [1, 2, 3]
    assert seen[0] == [box, []]
    seen, _ = seen_by(cascade(add_objects=False), nothing, [target(*box), target()])
    assert [len(stage[0]) for stage in seen] == [0, 0, 0]


def test_stages_ask_for_more_and_more_overlap():
    head = cascade(add_objects=False)
    for stage in head.stages:
        answer(stage)
    objects = PaddedTargets.of([target([0, 0, 10, 10]), target()])
    boxes = torch.tensor([[0.0, 0, 10, 5.5], [0, 0, 10, 6.5], [0, 0, 10, 7.5]])  # IoU .55, .65, .75
    regions = Regions.of([boxes, torch.zeros(0, 4)])
    positives = [
        (stage.sample(FEATURES, regions, objects).labels >= 0).sum().item() for stage in head.stages
    ]
    assert positives == [3, 2, 1]


def test_losses_are_named_and_weighed_by_stage():
    values = {}
    regions = Regions.of([torch.tensor([[0.0, 0, 16, 16]])] * 2)
    targets = PaddedTargets.of([target([0, 0, 16, 20])] * 2)
    for weights in ((1.0, 1.0, 1.0), (1.0, 0.5, 0.25)):
        head = cascade(stage_weights=weights)
        values[weights] = head.loss(FEATURES, regions, targets, SIZES)
    plain, weighed = values.values()
    names = [f"loss/stage{n}_{what}" for n in (1, 2, 3) for what in ("classification", "box")]
    assert list(plain) == names
    for name, factor in zip(names, (1, 1, 0.5, 0.5, 0.25, 0.25), strict=True):
        assert weighed[name].item() == pytest.approx(factor * plain[name].item())
        assert plain[name] > 0


def test_scores_are_the_mean_over_stages_and_boxes_the_last():
    head = cascade()
    for stage, logit in zip(head.stages, (1.0, 2.0, 3.0), strict=True):
        answer(stage, codes=(2.5, 0, 0, 0), logits=(logit, 0.0, 0.0))
    regions = Regions.of([torch.tensor([[0.0, 0, 16, 16]]), torch.zeros(0, 4)])
    found = head(FEATURES, regions, SIZES)
    softmax = torch.tensor([[1.0, 0, 0], [2, 0, 0], [3, 0, 0]]).softmax(dim=1)[:, :2]
    assert_close(found.scores[0, 0], softmax.mean(dim=0))
    # 2.5 * 16 * (.1 + .05 + .0333): 4, 2 and 4/3 pixels
    left = 4 + 2 + 4 / 3
    assert_close(found.boxes[0, 0], torch.tensor([[left, 0, left + 16, 16]]))
    assert not found.scores[1].any()
    assert head.predict(FEATURES, regions, SIZES).counts[1] == 0


def test_each_stage_has_weights_and_losses_of_its_own():
    head = cascade()
    first, second, third = head.stages
    assert len({id(p) for p in head.parameters()}) == len(list(head.parameters()))
    assert first.classification_loss is not second.classification_loss
    assert second.box_head is not third.box_head


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
def test_a_score_is_a_mean_of_probabilities_or_of_logits(mean):
    head = cascade(score_mean=mean)
    logits = [(3.0, 0.0, 0.0), (0.0, 0.0, 0.0), (-2.0, 1.0, 0.0)]
    for stage, values in zip(head.stages, logits, strict=True):
        answer(stage, logits=values)
    regions = Regions(torch.tensor([[[8.0, 8.0, 30.0, 30.0]]] * 2), torch.ones(2, 1, dtype=bool))
    values = torch.tensor(logits)
    expected = values.softmax(dim=1).mean(dim=0)
    expected = values.mean(dim=0).softmax(dim=0) if mean == "logits" else expected
    scores = head(FEATURES, regions, SIZES).scores
    assert_close(scores[0, 0], expected[:2])
