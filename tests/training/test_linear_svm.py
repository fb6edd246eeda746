"""Linear SVMs on features made by hand, and the mining of hard negatives."""

import pytest
import torch
from torch.testing import assert_close

from detkit.training import linear_svm
from detkit.training.linear_svm import SVMs

pytest.importorskip("sklearn", reason="SVMs need scikit-learn")


def clusters(count=30):
    """Features around three corners: two classes, and background."""
    corners = torch.tensor([[4.0, 0, 0], [0, 4, 0], [0, 0, 4]])
    noise = torch.randn(3, count, 3, generator=torch.Generator().manual_seed(0))
    return corners[:, None] + 0.3 * noise  # (3, count, 3)


def fitted(features, cost=1.0):
    svms = SVMs(3, 2, cost=cost)
    for label in (0, 1):
        svms.add_objects(features[label], torch.full((len(features[label]),), label))
    # Regions: objects of each class, which are negatives of the other one, and background.
    for cluster in range(3):
        is_negative = (torch.arange(2) != cluster).expand(len(features[cluster]), 2)
        svms.add_regions(features[cluster], is_negative)
    return svms.fit()


def test_svms_separate_the_classes():
    features = clusters()
    weight, bias, unconverged = fitted(features)
    margins = features @ weight.T + bias  # (3, count, C)
    assert (margins[[0, 1], :, [0, 1]] > 0.9).all()
    assert (margins[[1, 2, 0, 2], :, [0, 0, 1, 1]] < -0.9).all()
    assert unconverged == []


def test_margins_equal_the_decision_function_of_scikit_learn():
    from sklearn.svm import LinearSVC

    positives, negatives = clusters(10)[0], clusters(10)[1:].flatten(0, 1)
    svms = SVMs(3, 1, cost=0.001)
    svms.add_objects(positives, torch.zeros(10, dtype=torch.int64))
    svms.add_regions(negatives, torch.ones(20, 1, dtype=torch.bool))
    weight, bias, _ = svms.fit()
    features, labels = torch.cat([positives, negatives]), [1] * 10 + [0] * 20
    examples = (features * 20 / positives.norm(dim=1).mean()).numpy()
    settings = {"intercept_scaling": 10, "class_weight": {1: 2}, "random_state": 0}
    svm = LinearSVC(C=0.001, loss="hinge", **settings).fit(examples, labels)
    expected = torch.from_numpy(svm.decision_function(examples)).float()
    assert_close(features @ weight[0] + bias[0], expected, atol=1e-5, rtol=1e-5)


def test_a_class_without_objects_has_no_svm():
    svms = SVMs(3, 2, cost=1.0)
    svms.add_objects(clusters()[0], torch.zeros(30, dtype=torch.int64))
    svms.add_regions(clusters()[2], torch.ones(30, 2, dtype=torch.bool))
    bias = svms.fit().bias
    assert bias.isnan().tolist() == [False, True]


def test_negatives_beyond_the_margin_are_not_added(monkeypatch):
    svms, features, solved = SVMs(3, 1, cost=1.0), clusters(), []
    svms.add_objects(features[0], torch.zeros(30, dtype=torch.int64))
    everything = torch.ones(30, 1, dtype=torch.bool)
    svms.add_regions(features[2], everything)
    monkeypatch.setattr(linear_svm, "solve", lambda *args: solved.append(args))
    svms.add_regions(features[2] + torch.tensor([-1.0, 0, 1]), everything)
    svms.fit()
    assert solved == []


def test_a_class_holds_objects_of_the_whole_data_set_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(linear_svm, "_MEMORY", 4 * 2 * 5)  # 5 objects and 5 negatives
    svms = SVMs(1, 1, cost=1.0)
    svms.add_objects(torch.arange(1.0, 13)[:, None], torch.zeros(12, dtype=torch.int64))
    values = torch.cat(svms._classes[0].positives)
    assert values.tolist() == [1, 5, 9]
    svms.add_regions(-torch.arange(1.0, 13)[:, None], torch.ones(12, 1, dtype=torch.bool))
    svms.fit()
    assert len(svms._classes[0]._negatives) <= 5
