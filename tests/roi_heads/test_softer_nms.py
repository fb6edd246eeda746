"""A roi head with variances: their initial weights, and their way to the post-processor."""

import torch
from torch.testing import assert_close

from detkit import assembly
from detkit.config.pages import filled
from detkit.structures import FeatureSpec, Regions

WIRING = {"feature_specs": [FeatureSpec(4, 8)], "num_classes": 2, "class_names": ["a", "b"]}
PARTS = {
    "box_head": {"name": "two_fc", "width": 200},
    "box_coder": {"name": "corner_variance"},
    "box_loss": {"name": "kl"},
    "postprocess": {"name": "variance_voting", "score_threshold": 0.0},
}


def build(**values):
    torch.manual_seed(0)
    node = filled("roi_head", {"name": "standard", **PARTS, **values})
    return assembly.build("roi_head", node, WIRING, ("model", "roi_head"))


def test_log_variances_start_near_0():
    weights = build().stage.box_layer.weight.view(8, -1)
    assert_close(weights[:4].std(), torch.tensor(1e-3), rtol=0.2, atol=0)
    assert_close(weights[4:].std(), torch.tensor(1e-4), rtol=0.2, atol=0)


def test_the_boxes_of_detections_are_votes_by_variance():
    head = build(class_agnostic=True)
    with torch.no_grad():  # variances of exp(1) for x1 and y1, and of exp(-1) for x2 and y2
        head.stage.box_layer.weight.zero_()
        head.stage.box_layer.bias.copy_(torch.tensor([0.0] * 4 + [1.0, 1, -1, -1]))
    boxes = torch.tensor([[8.0, 8, 24, 24], [8, 8, 24, 28], [40, 40, 60, 60]])
    sizes = torch.tensor([[64.0, 64.0]])
    detections = head.predict([torch.zeros(1, 4, 8, 8)], Regions.of([boxes]), sizes).split()[0]
    plain = build(class_agnostic=True, postprocess={"name": "nms", "score_threshold": 0.0})
    plain.load_state_dict(head.state_dict())
    unmoved = plain.predict([torch.zeros(1, 4, 8, 8)], Regions.of([boxes]), sizes).split()[0]
    assert (unmoved.boxes[:, None] == boxes).all(-1).any(-1).all()
    moved = ~(detections.boxes[:, None] - boxes).abs().amax(-1).lt(1e-4).any(-1)
    assert moved.sum() == 2  # the better one of the first two regions, for each class
