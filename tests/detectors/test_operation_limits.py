"""A step and a prediction make the host wait a few times, however many images there are."""

from __future__ import annotations

import pytest
import torch
from operation_pages import (
    PAGES,
    TWO_STAGES,
    batch_of,
    count_prediction,
    count_step,
    detector_of,
    small_words,
    words_at_320,
)

from detkit.benchmark.operations import OperationCount
from detkit.ops.selection import fixed_shapes

MOST_IN_STEP = 8
MOST_IN_STEP_OF_TWO_STAGES = 24
MOST_IN_PREDICTION = 4 + 1  # and the copy of the detections
# The default suite leaves out pages whose parts are mostly those of another page.
SAME_PARTS = (
    "yolo_free_",
    "yolov5n",
    "yolov5s",
    "torchvision_",
    "mmdet_",
    "detectron2_",
    "yolov8",
    "yolo11",
    "yolox",
    "ssd300",
    "ssd512",
    "faster_rcnn_",
    "retinanet_",
    "cascade_rcnn",
    "yolov1",
    "yolov3",
    "yolov4",
    "atss",
    "refinedet512",
    "fsaf_anchors",
    "rcnn",
)
# Assigners, samplers and losses that no page has.
PARTS = {
    "sim_ota": ("yolo_free", "model/head/assigner=sim_ota"),
    "quality_focal": ("yolo_free", "model/head/classification_loss=quality_focal"),
    "dense_ohem": ("retinanet", "model/head/sampler=ohem"),
    "random_balanced": ("retinanet", "model/head/sampler=random_balanced"),
    "hard_negatives": ("retinanet", "model/head/sampler=hard_negatives"),
    "ghm": ("retinanet", "model/head/classification_loss=ghm_c", "model/head/box_loss=ghm_r"),
    "label_smoothing": ("retinanet", "model.head.classification_loss.label_smoothing=0.1"),
    "ohem": ("faster_rcnn", "model/roi_head/sampler=ohem"),
    "iou_balanced": ("faster_rcnn", "model/roi_head/sampler=iou_balanced"),
    "ghm_of_regions": ("faster_rcnn", "model/roi_head/box_loss=ghm_r"),
    "bilateral": ("faster_rcnn", "model/roi_head=bilateral"),
    "softer_nms": (
        "faster_rcnn",
        "model/roi_head/box_coder=corner_variance",
        "model/roi_head/box_loss=kl",
    ),
}

DEFAULT_PARTS = ("sim_ota", "ghm", "hard_negatives", "ohem", "ghm_of_regions")


# Each shares its ways with other pages: `fcos`, `ssdlite`, `faster_rcnn`, `yolo_free`.
SLOW = (
    *("cornernet", "densebox", "fast_rcnn", "fsaf", "fsaf_anchors", "mask_rcnn", "refinedet320"),
    *("retinanet", "yolov2", "yolov2_tiny", "yolov3_tiny", "yolov5"),
)


def slow_if(page: str) -> object:
    is_slow = page.startswith(SAME_PARTS) and page != "ssdlite"
    is_slow = is_slow or page in SLOW
    return pytest.param(page, marks=[pytest.mark.slow] if is_slow else [])


def require_few_reads(page: str, steps: list[OperationCount]) -> None:
    assert steps[0].lines() == steps[1].lines()  # however many images there are
    limit = MOST_IN_STEP_OF_TWO_STAGES if page in TWO_STAGES else MOST_IN_STEP
    assert steps[0].host_reads <= limit, steps[0].lines()


@pytest.mark.parametrize("page", map(slow_if, PAGES))
def test_a_page_reads_little(page: str) -> None:
    detector = detector_of(page, *small_words(page))
    few, many = batch_of(2, 96), batch_of(3, 96)
    count_step(detector, few)
    require_few_reads(page, [count_step(detector, batch) for batch in (few, many)])
    prediction = count_prediction(detector, many)
    assert prediction.host_reads <= MOST_IN_PREDICTION, prediction.lines()


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_other_parts_read_as_little(name: str) -> None:
    page, *words = PARTS[name]
    detector = detector_of(page, *small_words(page), *words)
    few, many = batch_of(2, 96), batch_of(3, 96)
    count_step(detector, few)
    require_few_reads(page, [count_step(detector, batch) for batch in (few, many)])


@pytest.mark.parametrize(
    "name",
    [n if n in DEFAULT_PARTS else pytest.param(n, marks=pytest.mark.slow) for n in PARTS],
)
def test_other_parts_have_the_same_losses_on_an_accelerator(name: str) -> None:
    page, *words = PARTS[name]
    detector, batch = detector_of(page, *small_words(page), *words), batch_of(2, 96)
    state = {key: value.clone() for key, value in detector.state_dict().items()}
    torch.manual_seed(0)
    losses = detector.train().loss(batch)
    detector.load_state_dict(state)
    torch.manual_seed(0)
    with fixed_shapes():
        torch.testing.assert_close(detector.loss(batch), losses)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_eight_images_of_320_pixels_read_little(page: str) -> None:
    detector = detector_of(page, *words_at_320(page))
    few, many = batch_of(2, 320), batch_of(8, 320)
    count_step(detector, few)
    require_few_reads(page, [count_step(detector, batch) for batch in (few, many)])
    count_prediction(detector, few)
    prediction = count_prediction(detector, many)
    # 24,000 candidates in each image of torchvision's SSD are compared in several calls.
    most = MOST_IN_PREDICTION + (3 if page.startswith("torchvision_ssd") else 0)
    assert prediction.host_reads <= most, prediction.lines()


@pytest.mark.slow
def test_the_nano_yolo_has_few_operations() -> None:
    """At most 1.2 times those of Ultralytics' yolov8n, which has 1,434 and 470."""
    detector, batch = detector_of("yolo_free_n"), batch_of(8, 320)
    assert count_step(detector, batch).operations <= 1720
    assert count_prediction(detector, batch).operations <= 564


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, which reports each wait")
@pytest.mark.parametrize("page", ["fcos", "retinanet", "yolo_free"])
def test_a_step_on_a_gpu_never_waits(page: str) -> None:
    detector = detector_of(page, *small_words(page)).train().cuda()
    batch = batch_of(2, 96).to("cuda")
    sum(detector.loss(batch).values()).backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        sum(detector.loss(batch).values()).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
