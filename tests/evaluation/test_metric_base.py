"""The base of metrics: a subclass only computes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import detkit
from detkit.evaluation import MetricBase, mean_over_classes
from detkit.interfaces import Metric
from detkit.structures import Detections, Target

CAT = torch.tensor([[0.0, 0, 10, 10]])
DOG = torch.tensor([[20.0, 20, 40, 40]])


class Recall(MetricBase):
    """The share of objects found at IoU 0.5."""

    def __init__(self):
        super().__init__(["cat", "dog"], {"AP": "recall"})

    def compute(self):
        classes = self.match(0.5)
        values = [m.correct.sum() / m.objects if m.objects else math.nan for m in classes]
        return {"AP": mean_over_classes(values), **self.per_class("AP", values)}


@pytest.fixture
def metric():
    metric = Recall()
    boxes, labels = torch.cat([CAT, DOG]), torch.tensor([0, 1])
    found = Detections(CAT, torch.tensor([0.9]), torch.tensor([0]))
    metric.update([1], [found], [Target(boxes, labels, torch.zeros(2, dtype=torch.bool))])
    return metric


def test_a_metric_that_only_computes_is_a_metric(metric):
    assert isinstance(metric, Metric)
    assert metric.compute() == {"AP": 0.5, "AP/cat": 1, "AP/dog": 0}


def test_states_of_other_ranks_are_added_once(metric):
    other = Recall()
    other.merge([metric.state(), metric.state()])
    assert other.compute() == metric.compute()
    assert other.counts() == metric.counts()


def test_reset_removes_the_images(metric):
    metric.reset()
    assert metric.counts().images == 0
    assert math.isnan(metric.compute()["AP"])


def test_matches_are_sorted_by_score_and_leave_out_ignored_objects():
    metric = Recall()
    found = Detections(
        torch.cat([DOG, CAT, CAT]), torch.tensor([0.5, 0.9, 0.3]), torch.tensor([1, 0, 0])
    )
    crowd = Target(torch.cat([CAT, DOG]), torch.tensor([0, 1]), torch.tensor([False, True]))
    metric.update([1], [found], [crowd])
    cats, dogs = metric.match(0.5)
    np.testing.assert_array_equal(cats.scores, np.float32([0.9, 0.3]))
    assert cats.correct.tolist() == [True, False]
    assert (cats.objects, dogs.objects, len(dogs.scores)) == (1, 0, 0)


def test_a_class_for_each_value_is_required(metric):
    with pytest.raises(ValueError, match="shorter"):
        metric.per_class("AP", [0.5])


def test_the_template_of_a_metric_has_40_lines_at_most():
    file = Path(detkit.__file__).parent / "plugin_templates" / "metric.py"
    assert len(file.read_text().splitlines()) <= 40
