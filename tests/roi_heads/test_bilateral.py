"""BBN on regions: reversed class shares, partners, the shift of alpha, and both branches."""

from contextlib import nullcontext

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from detkit import assembly
from detkit.config.pages import filled
from detkit.contracts import scenes
from detkit.errors import UserError
from detkit.ops.selection import fixed_shapes
from detkit.roi_heads.bilateral import partner_weights, reversed_shares
from detkit.roi_heads.regions import RegionRows, SampledRegions
from detkit.roi_heads.stage import Outputs
from detkit.structures import ClassCounts, FeatureSpec, Regions

SPECS = [FeatureSpec(4, 8)]
COUNTS = ClassCounts(images=9, images_with_class=[9, 3], objects=[30, 10])
WIRING = {"feature_specs": SPECS, "num_classes": 2, "class_names": ["a", "b"]}


def build(width=8, **wiring):
    torch.manual_seed(0)
    node = filled("roi_head", {"name": "bilateral", "box_head": {"name": "two_fc", "width": width}})
    wiring = {**WIRING, "class_counts": COUNTS, **wiring}
    return assembly.build("roi_head", node, wiring, ("model", "roi_head"))


def learn(head):
    targets = scenes.padded(scenes.usual_targets())
    targets = targets._replace(labels=targets.labels.clamp(max=1))
    return head.loss(scenes.maps(SPECS), scenes.regions(), targets, scenes.size_tensor())


def test_shares_reverse_the_frequencies():
    assert_close(reversed_shares(torch.tensor([10, 5, 1])), torch.tensor([1.0, 2, 10]) / 13)
    assert_close(reversed_shares(torch.tensor([4, 0])), torch.tensor([0.2, 0.8]))


def test_objects_are_drawn_by_class_and_background_as_before():
    labels = torch.tensor([0, 0, 1, -1, 0])
    in_loss = torch.tensor([True, True, True, True, False])
    weights = partner_weights(labels, in_loss, torch.tensor([0.25, 0.75]))
    assert_close(weights, torch.tensor([0.375, 0.375, 2.25, 1, 0]))
    # Only classes in the batch share the draws.
    weights = partner_weights(labels, in_loss, torch.tensor([0.1, 0.1, 0.8]))
    assert_close(weights, torch.tensor([0.75, 0.75, 1.5, 1, 0]))


def test_without_sampled_regions_all_weights_are_equal():
    weights = partner_weights(torch.tensor([0, -1]), torch.zeros(2).bool(), torch.ones(1))
    assert weights.tolist() == [1, 1]


def pair_of_regions():
    """An object of class 1 and background, with features (M, 2) of a width of 1."""
    regions = RegionRows.of(Regions.of([torch.tensor([[0.0, 0, 8, 8], [8, 8, 16, 16]])]))
    matched = torch.tensor([[0, -1]])
    boxes = torch.zeros(2, 4)
    sampled = SampledRegions(
        regions, torch.ones(1, 2).bool(), matched, torch.tensor([1, -1]), boxes, None
    )
    features = torch.tensor([[1.0, 2], [3, 4]])
    return sampled, Outputs(torch.zeros(2, 3), torch.zeros(2, 2, 4), features)


def test_the_mixed_loss_by_hand(monkeypatch):
    head = build(width=1)
    weight = torch.tensor([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]])  # (K, 2), background last
    with torch.no_grad():
        head.stage.class_layer.weight.copy_(weight)
    head.set_progress(0.5)  # alpha is 0.75
    monkeypatch.setattr(torch, "multinomial", lambda *_, **__: torch.tensor([1, 0]))
    sampled, outputs = pair_of_regions()
    losses = head._mixed_losses(outputs, sampled)
    # The conventional branch sees 1 and 3; its partner is the other region, with 4 and 2.
    first = 2 * (0.75 * 1 * weight[:, 0] + 0.25 * 4 * weight[:, 1])
    second = 2 * (0.75 * 3 * weight[:, 0] + 0.25 * 2 * weight[:, 1])
    logits, labels = torch.stack([first, second]), torch.tensor([1, 2])
    expected = 0.75 * cross_entropy(logits, labels, reduction="none")
    expected += 0.25 * cross_entropy(logits, labels.flip(0), reduction="none")
    assert_close(losses, expected)


def test_predictions_use_both_branches_alike():
    head = build(width=1)
    with torch.no_grad():
        head.stage.class_layer.weight.copy_(torch.tensor([[1.0, 2], [0, 0], [0, 0]]))
    features = head.region_features(scenes.maps(SPECS), scenes.regions())
    scores = head(scenes.maps(SPECS), scenes.regions(), scenes.size_tensor()).scores
    logit = features[..., 0] + 2 * features[..., 1]  # alpha is 1/2, of twice the features
    expected = torch.stack([logit, *torch.zeros(2, *logit.shape)], dim=-1).softmax(dim=-1)
    mask = scenes.regions().mask
    assert_close(scores[mask], expected[mask][:, :2])


@pytest.mark.parametrize(("share", "learns"), [(0.0, False), (0.5, True)])
def test_the_second_branch_learns_classes_after_the_start(share, learns):
    head = build()
    head.set_progress(share)
    learn(head)["loss/classification"].backward()
    branches = head.stage.box_head
    assert branches.conventional.first.weight.grad.any()
    assert bool(branches.rebalancing.first.weight.grad.any()) is learns


def test_the_counts_of_the_training_set_are_needed():
    with pytest.raises(UserError, match="'bilateral' needs the number of training objects"):
        learn(build(class_counts=None))


def test_accelerators_draw_the_same_partners():
    losses = []
    for context in (nullcontext(), fixed_shapes()):
        head = build()
        head.set_progress(0.5)
        torch.manual_seed(1)
        with context:
            losses.append(learn(head))
    assert_close(*losses)
