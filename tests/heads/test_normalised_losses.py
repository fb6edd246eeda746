"""A loss that is normalised by itself, such as GHM's, is the same in every head."""

import pytest
import torch

from detkit import assembly, registry
from detkit.config.pages import filled
from detkit.losses import GHMClassificationLoss
from detkit.structures import IGNORED, FeatureSpec, PaddedTargets, Target

SIZES = [(8, 12), (4, 6), (2, 3)]
SAMPLERS = ["keep_all", "random_balanced", "hard_negatives", "ohem", "iou_balanced"]


class Watched(torch.nn.Module):
    """GHM, with what it was given in the pass that has a gradient."""

    space, activation, normalised, weight = "classes", "sigmoid", True, 1.0

    def __init__(self):
        super().__init__()
        self.loss = GHMClassificationLoss()

    def forward(self, logits, labels, scores=None):
        if torch.is_grad_enabled():
            self.given = (logits.detach(), labels, scores)
        return self.loss(logits, labels, scores)


def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 8, *size, generator=generator) for size in SIZES]


def targets():
    boxes = torch.tensor([[4.0, 4, 30, 34], [40, 10, 90, 60]])
    return [Target(boxes, torch.tensor([0, 2]), torch.tensor([False, False])), Target.empty()]


def require_the_papers_loss(head, name):
    """The value is the mean over bins of the mean entropy of what was sampled."""
    head.classification_loss = watched = Watched()
    found = head.loss(features(), PaddedTargets.of(targets()))[f"loss/{name}"]
    logits, labels, scores = watched.given
    counted = labels != IGNORED
    soft = None if scores is None else scores[counted]
    expected = GHMClassificationLoss()(logits[counted], labels[counted], soft).sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["retinanet", "fcos", "yolo_free", "yolov5"])
def test_ghm_is_the_papers_in_dense_heads(build_head, name, sampler):
    torch.manual_seed(0)
    head = build_head(name, classification_loss={"name": "focal"}, sampler={"name": sampler})
    require_the_papers_loss(head, "classification")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_ghm_is_the_papers_in_proposers(sampler):
    torch.manual_seed(0)
    node = filled("proposer", {"name": "rpn", "sampler": {"name": sampler}})
    specs = [FeatureSpec(8, 8), FeatureSpec(8, 16), FeatureSpec(8, 32)]
    wiring = {"feature_specs": specs, "num_classes": 3, "class_names": ["a", "b", "c"]}
    head = assembly.build("proposer", node, wiring, ("model", "proposer"))
    require_the_papers_loss(head, "classification")


def test_every_class_loss_says_whether_it_is_normalised():
    every = [registry.get("loss", name) for name in registry.names("loss")]
    losses = [loss for loss in every if loss.__module__.startswith("detkit.")]
    normalised = {c.__name__: c.normalised for c in losses if c.space == "classes"}
    assert normalised.pop("GHMClassificationLoss")
    assert normalised
    assert not any(normalised.values())


def test_assigners_see_class_and_objectness(build_head):
    """Classes of background are never learned by a head with objectness, so they say nothing."""
    torch.manual_seed(0)
    head = build_head("yolov5", assigner={"name": "sim_ota"})
    seen = []
    original = head.assigner
    head.assigner = lambda *given: seen.append(given[1]) or original(*given)
    head.assigner.uses_predictions = True
    head.loss(features(), PaddedTargets.of(targets()))
    logits, _, objectness = head(features())
    expected = logits.sigmoid() * objectness.sigmoid()[..., None]
    torch.testing.assert_close(torch.cat(seen), expected)
