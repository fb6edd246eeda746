"""Heads count what they divide by before the network runs."""

import pytest
import torch

from detkit import assembly, registry
from detkit.config.pages import filled
from detkit.config.part_pages import page_names
from detkit.structures import FeatureSpec, PaddedTargets, Target

SIZES = [(8, 12), (4, 6), (2, 3)]
HEADS = page_names("head")
BY_PREDICTIONS = ("yolo_free", "fsaf", "yolov1", "yolov2", "refinedet", "fsaf_anchors")
COUNTED = [n for n in HEADS if n not in (*BY_PREDICTIONS, "cornernet")]  # see test_corners.py


def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 8, *size, generator=generator) for size in SIZES]


def targets():
    boxes = torch.tensor([[4.0, 4, 30, 34], [40, 10, 90, 60], [50, 40, 60, 50]])
    several = Target(boxes, torch.tensor([0, 2, 1]), torch.tensor([False, False, True]))
    one = Target(boxes[1:2], torch.tensor([1]), torch.tensor([False]))
    return [several, one, Target.empty()]


def proposer(**parts):
    specs = [FeatureSpec(8, 8), FeatureSpec(8, 16), FeatureSpec(8, 32)]
    wiring = {"feature_specs": specs, "num_classes": 3, "class_names": ["a", "b", "c"]}
    node = filled("proposer", {"name": "rpn", **parts})
    return assembly.build("proposer", node, wiring, ("model", "proposer"))


def require_true_counts(head):
    torch.manual_seed(0)
    head.loss(features(), PaddedTargets.of(targets()))
    state = torch.random.get_rng_state()
    counts = head.count(SIZES, PaddedTargets.of(targets()))
    torch.testing.assert_close(counts, head.divisors.counts, check_dtype=False)
    assert torch.equal(torch.random.get_rng_state(), state)  # nothing is drawn


@pytest.mark.parametrize("name", COUNTED)
def test_predicted_counts_equal_the_counts_of_the_loss(build_head, name):
    require_true_counts(build_head(name))


@pytest.mark.parametrize("sampler", registry.names("sampler"))
def test_samplers_may_draw_or_rank(build_head, sampler):
    require_true_counts(build_head("retinanet", sampler={"name": sampler}))
    require_true_counts(proposer(sampler={"name": sampler}))


def test_soft_targets_need_predictions_and_one_count_divides_them(build_head):
    head = build_head("yolo_free")
    assert head.count(SIZES, PaddedTargets.of(targets())) is None
    assert head.has_one_divisor


@pytest.mark.parametrize(
    ("name", "parts", "has_one"),
    [
        ("retinanet", {}, True),
        ("retinanet", {"classification_loss": {"name": "ghm_c"}}, False),
        ("atss", {}, False),  # boxes by the sum of the centrenesses
        ("yolov5", {}, False),  # objectness by the cells
        ("yolov3", {}, True),
    ],
)
def test_whether_all_losses_have_the_same_divisor(build_head, name, parts, has_one):
    assert build_head(name, **parts).has_one_divisor is has_one
