"""Page values discarded by a swap are named if the new part has the same arguments."""

import pytest

from detkit.config.compose import compose_with_origins
from detkit.config.lost_values import lost_values

NORM = "model.head.layers.norm: is none, as 'towers' has it; the part that it replaces had group"
# Only the model's page, which remains in force, has lost values; pages of heads are replaced.
SSD_PRIORS = ["scales: is null, as 'ssdlite' has it", "steps: is null, as 'ssdlite' has it"]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["model=faster_rcnn", "model/backbone=resnet101"],
            ["model.backbone.levels: is [3, 4, 5], as 'resnet101' has it; the part that it "],
        ),
        (["model=faster_rcnn", "model/neck=pan"], ["model.neck.extra: is p6p7_on_p5, as 'pan'"]),
        (["model=faster_rcnn", "model/backbone=resnet101", "model.backbone.levels=[2,3,4,5]"], []),
        (["model=faster_rcnn", "model/backbone=resnet101", "model.backbone.levels=[3,4,5]"], []),
        (["model=faster_rcnn"], []),
        (["model=fcos", "model/backbone=resnet101", "model/neck=pan"], []),
        (["model=atss", "model/head/assigner=max_iou", "seed=3"], []),
        (["model=fcos", "model/head=atss"], []),
        (["model=atss", "model/head/layers=towers", "model.head.layers.level_scales=true"], [NORM]),
        (["model=fcos", "model/head=yolov3"], []),
        (
            ["model=ssd300", "model/head=ssdlite"],
            [f"model.head.priors.{SSD}" for SSD in SSD_PRIORS],
        ),
    ],
    ids=str,
)
def test_lost_values(words, lines):
    found = lost_values(compose_with_origins("train", words))
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


def test_the_line_has_the_place_and_the_word_that_keeps_the_value():
    words = ["model=faster_rcnn", "model/backbone=resnet101"]
    (line,) = lost_values(compose_with_origins("train", words))
    assert "had [2, 3, 4, 5] (" in line
    assert "faster_rcnn.yaml, line 3)" in line
    assert line.endswith("To keep that: model.backbone.levels=[2,3,4,5]")
