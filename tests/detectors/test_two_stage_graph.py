"""Two-stage detectors as graphs, for any number and size of images."""

import pytest
import torch
from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose

TINY = [
    "model/backbone=resnet18",
    "model.neck.out_channels=16",
    "model.proposer.postprocess.max_candidates=50",
    "model.proposer.postprocess.max_detections=20",
    "model.roi_head.postprocess.score_threshold=0.2",
]


class Detecting(nn.Module):
    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, images):
        return tuple(self.detector.detect(images))


@pytest.mark.slow
@pytest.mark.parametrize("page", ["faster_rcnn", "cascade_rcnn"])
def test_a_graph_detects_what_the_detector_does(page):
    torch.manual_seed(0)
    model = compose("train", [f"model={page}", *TINY])["model"]
    detector = assembly.build_detector(model, Classes(["a", "b"], [1, 2])).eval()
    dynamic = torch.export.Dim.DYNAMIC
    axes = {"images": {0: dynamic, 2: dynamic, 3: dynamic}}
    with torch.no_grad():
        example = torch.rand(2, 3, 256, 320) * 255
        graph = torch.export.export(Detecting(detector), (example,), dynamic_shapes=axes).module()
        images = torch.rand(3, 3, 203, 160) * 255
        boxes, scores, _, counts = graph(images)
    for image, expected in enumerate(detector.detect(images).split()):
        count = counts[image]
        assert count == len(expected.scores) > 5
        torch.testing.assert_close(scores[image, :count], expected.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(boxes[image, :count], expected.boxes, rtol=0, atol=0.01)
