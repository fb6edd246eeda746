"""Combinations of YOLO's parts learn, also with a batch without any box among the others."""

import pytest
from eight_images import batch_without_boxes, first_images, train

TINY = ["model=yolov5n", "model.backbone.width=0.125"]


@pytest.mark.parametrize(
    "words",
    [
        TINY,
        [*TINY, "model/head=yolov3"],
        pytest.param([*TINY, "model/head=yolov4"], marks=pytest.mark.slow),
        pytest.param(
            [*TINY, "model/neck=yolov3", "model/head=fcos"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["model=yolov5n", "model/backbone=timm", "model.backbone.model=test_resnet"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["yolov5", "yolov3", "yolov4", "neck of yolov3 and fcos", "another backbone"],
)
# pain 14
def test_the_loss_falls_with_a_batch_without_boxes_among_the_others(tmp_path, words):
    batch, detector, _ = first_images(tmp_path / "shapes", 2, 64, *words)
    totals = train(detector, [batch, batch_without_boxes(2, 64)], 10, 0.003)
    assert totals[-2] + totals[-1] < totals[0] + totals[1]
