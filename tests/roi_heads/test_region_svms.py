"""SVMs that score the regions of a roi head once they are fitted."""

import torch
from torch.testing import assert_close

from detkit import assembly
from detkit.config.pages import filled
from detkit.contracts import scenes
from detkit.roi_heads.region_svms import RegionSVMs
from detkit.structures import FeatureSpec

WIRING = {"feature_specs": [FeatureSpec(4, 8)], "num_classes": 2, "class_names": ["a", "b"]}


def build(**values):
    torch.manual_seed(0)
    small = {"box_head": {"name": "two_fc", "width": 16}}
    node = filled("roi_head", {"name": "standard", **small, **values})
    return assembly.build("roi_head", node, WIRING, ("model", "roi_head")).eval()


def scores(head):
    features = scenes.maps([FeatureSpec(4, 8)])
    return head(features, scenes.regions(), scenes.size_tensor()).scores


def test_softmax_scores_until_the_svms_are_fitted():
    plain, head = build(), build(svm_cost=0.001)
    head.load_state_dict(plain.state_dict(), strict=False)
    assert_close(scores(head), scores(plain))


def test_fitted_svms_score_by_their_margins():
    head = build(svm_cost=0.001)
    head.svms.set(torch.ones(2, 16), torch.tensor([0.0, -1]))
    features = head.region_features(scenes.maps([FeatureSpec(4, 8)]), scenes.regions())
    margins = features.sum(dim=2, keepdim=True) + torch.tensor([0.0, -1])  # (B, R, C)
    is_region = scenes.regions().mask
    assert_close(scores(head)[is_region], margins.sigmoid()[is_region])


def test_scores_rise_with_the_margin_and_a_class_without_an_svm_scores_0():
    svms = RegionSVMs(1, 2, cost=1.0)
    svms.set(torch.tensor([[1.0], [0]]), torch.tensor([0, torch.nan]))
    values = svms.scores(torch.tensor([[-1.0], [0], [1]]), torch.zeros(3, 2))
    assert values[:, 1].tolist() == [0, 0, 0]
    assert_close(values[:, 0], torch.tensor([-1.0, 0, 1]).sigmoid())


def test_learning_makes_the_svms_invalid():
    head = build(svm_cost=0.001)
    head.svms.set(torch.ones(2, 16), torch.zeros(2))
    targets, features = scenes.usual_targets(), scenes.maps([FeatureSpec(4, 8)])
    with torch.no_grad():
        head.loss(features, scenes.regions(), scenes.padded(targets), scenes.size_tensor())
    assert head.svms.fitted
    head.loss(features, scenes.regions(), scenes.padded(targets), scenes.size_tensor())
    assert not head.svms.fitted
