"""The procedure of a dense head, with parts so simple that values are worked out by hand."""

import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.heads import dense
from detkit.heads.dense import DenseHead
from detkit.ops import best_first
from detkit.quality_targets.centreness import Centreness
from detkit.quality_targets.objectness import Objectness
from detkit.structures import (
    Assignment,
    DensePredictions,
    PaddedTargets,
    Priors,
    Target,
)

padded = PaddedTargets.of

FEATURES = [torch.zeros(2, 1, 2, 2)]
SIZES = torch.full((2, 2), 16.0)
OBJECT = torch.tensor([[0.0, 0, 16, 16]])


class Layers(nn.Module):
    def __init__(self, quality=True):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2, 4, 2))
        self.codes = nn.Parameter(torch.zeros(2, 4, 4))
        self.quality = nn.Parameter(torch.zeros(2, 4)) if quality else None

    def forward(self, features):
        return DensePredictions(self.logits, self.codes, self.quality)


class FourPriors:
    """The quarters of an image of 16 x 16."""

    per_cell = (1,)

    def __call__(self, sizes, device):
        boxes = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 8, 8, 16], [8, 8, 16, 16]])
        return Priors(boxes, torch.full((4,), 8.0), torch.zeros(4, dtype=torch.int64))


class Shift:
    """Codes are the shifts of the corners."""

    code_size = 4

    def encode(self, boxes, priors):
        return boxes - priors.boxes

    def decode(self, codes, priors):
        return priors.boxes + codes


class Listed:
    """Matches what the test says, whatever the target."""

    uses_predictions = False

    def __init__(self, *matched, scores=()):
        self.matched = list(matched)
        self.scores = list(map(torch.tensor, scores))
        self.targets = []
        self.seen = []

    def __call__(self, priors, scores, boxes, targets):
        images = targets.split()
        self.seen += zip(*(images if v is None else v for v in (scores, boxes)), strict=True)
        places = [(len(self.targets) + image) % len(self.matched) for image in range(len(images))]
        self.targets += [image.select(~image.ignored) for image in images]
        scores = torch.stack([self.scores[place] for place in places]) if self.scores else None
        return Assignment(torch.tensor([self.matched[place] for place in places]), scores)


class Sampling:
    """Every prior but the ignored ones, or what a function makes of them."""

    def __init__(self, choose=lambda matched, values: matched != -2, ranks_by="losses"):
        self.choose, self.ranks_by = choose, ranks_by

    def __call__(self, matched, values):
        return self.choose(matched, values)


class OnePerPrior:
    """A loss of 1 for background, 10 for class 0 and 100 for class 1; quality its target."""

    space, weight, activation, normalised = "classes", 2.0, "sigmoid", False

    def __call__(self, logits, labels, scores=None):
        losses = torch.tensor([10.0, 100.0, 1.0])[labels] if scores is None else scores
        return losses + 0 * logits.sum(dim=-1)


class Difference:
    weight = 3.0

    def __init__(self, space):
        self.space = space

    def __call__(self, predicted, target):
        return (predicted - target).abs().sum(dim=-1)


class Everything:
    score_threshold, max_candidates = 0.0, 3

    def __call__(self, boxes, scores, labels):
        return best_first(boxes, scores, labels, 0.0, scores.shape[1])


def head(assigner, **changes):
    parts = {
        "layers": Layers(),
        "priors": FourPriors(),
        "box_coder": Shift(),
        "assigner": assigner,
        "sampler": Sampling(),
        "classification_loss": OnePerPrior(),
        "box_loss": Difference("codes"),
        "quality_target": Centreness(),
        "quality_loss": OnePerPrior(),
        "postprocess": Everything(),
    }
    return DenseHead(**{**parts, **changes})


def without_quality():
    return {"layers": Layers(quality=False), "quality_target": None, "quality_loss": None}


def target(*labels, ignored=()):
    return Target(
        OBJECT.repeat(len(labels), 1),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor([place in ignored for place in range(len(labels))], dtype=torch.bool),
    )


def values(losses):
    return {name.removeprefix("loss/"): value.item() for name, value in losses.items()}


def test_losses_are_summed_over_the_batch_weighted_and_divided_by_its_positives():
    losses = head(Listed([0, -1, -1, -1], [1, 0, 0, -1])).loss(
        FEATURES, padded([target(1), target(1, 0)])
    )
    # 100 + 3 and 10 + 100 + 100 + 1 for four positives; each box is 8 off at two corners.
    assert values(losses)["classification"] == pytest.approx(2 * (103 + 211) / 4)
    assert values(losses)["box"] == pytest.approx(3 * (4 * 16) / 4)


def test_labels_are_those_of_the_own_image_also_after_one_without_objects():
    losses = head(Listed([-1] * 4, [0, -1, -1, -1])).loss(FEATURES, padded([target(), target(1)]))
    assert values(losses)["classification"] == pytest.approx(2 * (4 + 103))
    assert values(losses)["box"] == pytest.approx(3 * 16)


def test_ignored_priors_do_not_count():
    losses = head(Listed([0, -2, -2, -1], [-2, -2, -2, -2])).loss(FEATURES, padded([target(0)] * 2))
    assert values(losses)["classification"] == pytest.approx(2 * (10 + 1))


def test_ignored_objects_are_hidden_from_the_assigner_and_their_priors_do_not_count():
    assigner = Listed([-1, -1, -1, -1])
    both = target(0, 1, ignored=[0])
    losses = head(assigner).loss(FEATURES, padded([both, target()]))
    assert assigner.targets[0].labels.tolist() == [1]
    assert values(losses)["classification"] == pytest.approx(2 * 4)  # of the second image


def test_what_the_sampler_leaves_out_is_neither_positive_nor_negative():
    def first_two(matched, losses):
        assert losses.shape == (2, 4)
        assert not losses.requires_grad
        return torch.tensor([True, True, False, False]).expand(2, 4)

    losses = head(Listed([0, -1, 0, 0]), sampler=Sampling(first_two)).loss(
        FEATURES, padded([target(0)] * 2)
    )
    assert values(losses)["classification"] == pytest.approx(2 * (11 + 11) / 2)


@pytest.mark.parametrize("space", ["boxes", "codes"])
def test_the_box_loss_gets_what_its_space_says(space):
    seen = {}

    class Spy(Difference):
        def __call__(self, predicted, target):
            seen["target"] = target
            return super().__call__(predicted, target)

    head(Listed([-1, 0, -1, -1], [-1] * 4), box_loss=Spy(space)).loss(
        FEATURES, padded([target(0)] * 2)
    )
    expected = {"boxes": [[0, 0, 16, 16]], "codes": [[-8, 0, 0, 8]]}[space]
    assert seen["target"].tolist() == expected


def test_quality_learns_centreness():
    losses = head(Listed([0, -1, -1, -1], [0, 0, -1, -1])).loss(FEATURES, padded([target(0)] * 2))
    # The centre of each quarter is 4 from two sides and 12 from the others: 1/3.
    assert values(losses)["quality"] == pytest.approx(2 * (3 * 1 / 3) / 3)


def test_a_box_loss_weighed_by_quality_is_divided_by_its_sum():
    parts = {"quality_target": Centreness(weighs_boxes=True)}
    losses = head(Listed([0, 0, 0, 0]), **parts).loss(FEATURES, padded([target(0)] * 2))
    assert values(losses)["box"] == pytest.approx(3 * (8 * 16 / 3) / (8 / 3))
    losses = head(Listed([0, -1, -1, -1], [-1] * 4), **parts).loss(
        FEATURES, padded([target(0)] * 2)
    )
    assert values(losses)["box"] == pytest.approx(3 * (16 / 3) / 1)  # a sum below 1 counts as 1


class Entropy(OnePerPrior):
    """At logits of 0 each prior costs ln 2, whatever its target."""

    def __call__(self, logits, labels, scores=None):
        self.seen = scores
        return nn.functional.softplus(logits).mean(dim=-1)


LN2 = 0.6931472


def test_soft_targets_go_to_the_class_loss_and_their_sum_divides():
    loss = Entropy()
    assigner = Listed([0, -1, 0, -1], [-1, 0, -1, -1], scores=[[0.5, 1, 0.75, 1], [1, 0.25, 1, 1]])
    losses = head(assigner, classification_loss=loss).loss(FEATURES, padded([target(0)] * 2))
    assert loss.seen.tolist() == [0.5, 1, 0.75, 1, 1, 0.25, 1, 1]
    assert values(losses)["classification"] == pytest.approx(2 * 8 * LN2 / 1.5)


def test_boxes_count_as_much_as_their_soft_target():
    # Each box is 16 off in all; the sum of the targets is 1.5, and 0.5 counts as 1.
    assigner = Listed([0, -1, -1, -1], [0, 0, -1, -1], scores=[[0.5] * 4, [1.0] * 4])
    losses = head(assigner, classification_loss=Entropy()).loss(FEATURES, padded([target(0)] * 2))
    assert values(losses)["box"] == pytest.approx(3 * 16 * (0.5 + 1 + 1) / 2.5)
    assigner = Listed([0, -1, -1, -1], [-1] * 4, scores=[[0.5] * 4] * 2)
    losses = head(assigner, classification_loss=Entropy()).loss(FEATURES, padded([target(0)] * 2))
    assert values(losses)["box"] == pytest.approx(3 * 16 * 0.5 / 1)
    # With a quality of 1/3 at all of them it cancels out of the mean of two.
    assigner = Listed([0, 0, 0, 0], scores=[[0.5, 1, 0.5, 1]])
    parts = {"classification_loss": Entropy(), "quality_target": Centreness(weighs_boxes=True)}
    losses = head(assigner, **parts).loss(FEATURES, padded([target(0)] * 2))
    assert values(losses)["box"] == pytest.approx(3 * 16 * (6 / 3) / (6 / 3))


CELLS = (
    2 * (640 / 8) ** 2 / (5.4 * 160)
)  # of two images: the cells of 640 x 640, over YOLOv5's gain
OBJECT_OR_NOT = {"quality_target": Objectness(overlap_share=0.0)}


def test_objectness_learns_everywhere_and_classes_at_objects_only():
    # 100 and 10 of two objects, where background would cost 1 at each of the six other priors.
    losses = head(Listed([0, -1, -1, -1], [0, -1, -1, -1]), **OBJECT_OR_NOT).loss(
        FEATURES, padded([target(1), target(0)])
    )
    assert values(losses)["classification"] == pytest.approx(2 * (100 + 10) / 2)
    assert values(losses)["quality"] == pytest.approx(2 * (1 + 1) / CELLS)  # its loss is its target


def test_objectness_of_background_is_learned_without_any_object():
    class Entropy(OnePerPrior):
        def __call__(self, logits, labels, scores=None):
            assert (labels < 0).all()
            return nn.functional.softplus(logits[:, 0])

    dense_head = head(Listed([-1, -1, -2, -1]), quality_loss=Entropy(), **OBJECT_OR_NOT)
    losses = dense_head.loss(FEATURES, padded([target()] * 2))
    assert values(losses) == pytest.approx(
        {"classification": 0, "box": 0, "quality": 2 * 6 * 0.6931472 / CELLS}
    )
    sum(losses.values()).backward()
    torch.testing.assert_close(
        dense_head.layers.quality.grad, torch.tensor([[1.0, 1.0, 0.0, 1.0]] * 2) / CELLS
    )
    assert not dense_head.layers.logits.grad.any()


def test_objectness_at_an_object_is_the_overlap_of_the_predicted_box_without_gradient():
    class Spy(OnePerPrior):
        def __call__(self, logits, labels, scores=None):
            self.seen = scores
            return super().__call__(logits, labels, scores)

    loss = Spy()
    dense_head = head(
        Listed([-1, 0, -1, -1]), quality_target=Objectness(overlap_share=1.0), quality_loss=loss
    )
    with torch.no_grad():
        dense_head.layers.codes[0, 1] = torch.tensor([-8.0, 0, 0, 8])  # just the object
    dense_head.loss(FEATURES, padded([target(0)] * 2))
    # In the second image a quarter of the object, its centre 32 of 512 off.
    torch.testing.assert_close(loss.seen, torch.tensor([0, 1, 0, 0, 0, 0.25 - 0.0625, 0, 0]))
    assert not loss.seen.requires_grad


def test_a_sampler_ranks_by_the_output_that_judges_background():
    seen = []

    def spy(matched, losses):
        seen.append(losses)
        return matched != -2

    class Logit(OnePerPrior):
        def __call__(self, logits, labels, scores=None):
            return logits[:, 0] + 10 * (labels == 0)

    dense_head = head(
        Listed([0, -1, -1, -1]), sampler=Sampling(spy), quality_loss=Logit(), **OBJECT_OR_NOT
    )
    with torch.no_grad():
        dense_head.layers.quality[:] = torch.arange(4)
    dense_head.loss(FEATURES, padded([target(1)] * 2))
    assert seen[0].tolist() == [[10, 1, 2, 3]] * 2


def test_a_sampler_of_overlaps_gets_the_highest_with_an_object():
    seen = []

    def spy(matched, values):
        seen.append(values)
        return matched != -2

    head(Listed([0, -1, -1, -1], [-1] * 4), sampler=Sampling(spy, "overlaps")).loss(
        FEATURES, padded([target(1), target()])
    )
    # Each prior is a quarter of the object.
    assert seen[0].tolist() == [[0.25] * 4, [0] * 4]


def test_a_quality_loss_without_a_target_is_refused():
    with pytest.raises(UserError, match="a quality_loss needs a quality_target: choose one, or"):
        head(Listed([0]), quality_target=None)


def test_a_quality_target_without_a_loss_is_refused():
    with pytest.raises(UserError, match="a quality_target needs a quality_loss: choose one, or"):
        head(Listed([0]), quality_loss=None)


def test_no_quality_branch_no_quality_loss():
    losses = head(Listed([0, 0, 0, 0]), **without_quality()).loss(FEATURES, padded([target(0)] * 2))
    assert losses.keys() == {"loss/classification", "loss/box"}


def test_an_assigner_that_uses_predictions_gets_them_without_gradient():
    assigner = Listed([0, -1, -1, -1])
    assigner.uses_predictions = True
    head(assigner).loss(FEATURES, padded([target(0)] * 2))
    scores, boxes = assigner.seen[1]
    assert torch.equal(scores, torch.full((4, 2), 0.5))
    assert torch.equal(boxes, FourPriors()(None, None).boxes)
    assert not scores.requires_grad
    assert not boxes.requires_grad


@pytest.mark.parametrize("matched", [[-1, -1, -1, -1], [-2, -2, -2, -2]])
def test_without_positives_all_is_finite_and_everything_has_a_gradient(matched):
    dense_head = head(Listed(matched))
    losses = dense_head.loss(FEATURES, padded([target()] * 2))
    assert values(losses)["box"] == values(losses)["quality"] == 0
    sum(losses.values()).backward()
    for parameter in dense_head.parameters():
        assert parameter.grad.isfinite().all()


def test_positives_are_averaged_over_ranks_on_every_rank(monkeypatch):
    calls = []

    def other_rank_has_three(value):
        calls.append(value.clone())
        return (value + 3) / 2

    monkeypatch.setattr(dense, "Divisors", lambda: other_rank_has_three)
    losses = head(Listed([0, -1, -1, -1], [-1] * 4)).loss(FEATURES, padded([target(0), target()]))
    assert values(losses)["box"] == pytest.approx(3 * 16 / 2)
    head(Listed([-1] * 4)).loss(FEATURES, padded([target()] * 2))
    assert len(calls) == 2


def test_losses_are_float32_under_autocast():
    dense_head = head(Listed([0, -1, -1, -1]))
    dense_head.layers.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        losses = dense_head.loss(FEATURES, padded([target(0)] * 2))
        found = dense_head.predict(FEATURES, SIZES)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    assert found.boxes.dtype == found.scores.dtype == torch.float32


@pytest.mark.parametrize(("exponent", "expected"), [(1.0, 0.8 * 0.5), (0.5, 0.4**0.5)])
def test_score_is_class_times_quality_to_a_power(exponent, expected):
    dense_head = head(Listed([0]), quality_target=Centreness(score_exponent=exponent))
    with torch.no_grad():
        dense_head.layers.logits[1, 2, 1] = torch.tensor(0.8).logit()
    found = dense_head.predict(FEATURES, SIZES).split()[1]
    assert found.scores[0].item() == pytest.approx(expected)
    assert found.labels[0] == 1
    assert found.boxes[0].tolist() == [0, 8, 8, 16]


def test_softmax_scores_leave_background_out():
    loss = OnePerPrior()
    loss.activation = "softmax"
    parts = {"classification_loss": loss, **without_quality()}
    dense_head = head(Listed([0]), **parts)
    dense_head.layers.logits = nn.Parameter(torch.tensor([1.0, 0, 3]).log1p().expand(2, 4, 3))
    found = dense_head.predict(FEATURES, SIZES).split()[0]
    assert set(found.labels.tolist()) == {0}
    torch.testing.assert_close(found.scores, torch.full((3,), 2 / 7))


def test_a_softmax_loss_of_quality_sees_background_as_zero():
    class Softmax(OnePerPrior):
        activation = "softmax"

        def __call__(self, logits, labels, scores=None):
            self.shape = logits.shape
            return super().__call__(logits, labels, scores)

    loss = Softmax()
    head(Listed([0, -1, -1, -1]), quality_loss=loss).loss(FEATURES, padded([target(0)] * 2))
    assert loss.shape == (2 * 4, 2)


def test_detections_are_limited_before_decoding_and_clipped_to_their_image():
    dense_head = head(Listed([0]))
    found = dense_head.predict(FEATURES, torch.tensor([[16.0, 16], [10, 12]])).split()
    assert [len(image.scores) for image in found] == [3, 3]
    assert found[1].boxes[:, 2].max() <= 12
    assert found[1].boxes[:, 3].max() <= 10


def test_layers_that_do_not_fit_the_priors_are_named():
    layers = Layers()
    layers.logits = nn.Parameter(torch.zeros(2, 6, 2))
    with pytest.raises(ValueError, match=r"predict for 6 priors, but there are 4 priors"):
        head(Listed([0]), layers=layers).predict(FEATURES, SIZES)


def test_the_classification_loss_is_told_which_priors_are_ignored():
    seen = []

    class Spy(OnePerPrior):
        def __call__(self, logits, labels, scores=None):
            seen.append(labels.tolist())
            return super().__call__(logits, labels, scores)

    parts = {"classification_loss": Spy(), **without_quality()}
    head(Listed([0, -1, -2, -2], [-1] * 4), **parts).loss(FEATURES, padded([target(1), target()]))
    # First to rank them for the sampler, then for the gradient.
    assert seen == [[1, -1, -2, -2, -1, -1, -1, -1]] * 2


def test_an_image_without_objects_adds_to_the_positives_if_priors_of_it_count():
    batch, boxes = [target(0), target()], pytest.approx(3 * 16 / (1 + 10))
    found = head(Listed([0, -1, -1, -1], [-1] * 4), empty_image=10.0).loss(FEATURES, padded(batch))
    assert values(found)["box"] == boxes
    nothing_counts = head(Listed([0, -1, -1, -1], [-2] * 4), empty_image=10.0)
    assert values(nothing_counts.loss(FEATURES, padded(batch)))["box"] == pytest.approx(3 * 16)


def test_losses_may_be_divided_by_the_images():
    found = head(Listed([0, -1, -1, -1]), objects_per_image=5.0).loss(
        FEATURES, padded([target(0)] * 2)
    )
    assert values(found)["box"] == pytest.approx(3 * (2 * 16) / (2 * 5))
