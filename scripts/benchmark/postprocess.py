"""Compare post-processing of one image, without the network.

From the outputs of a head at 8,400 places (logits of 80 classes, sides as distributions) to 300
detections, where 8,000 scores are above the threshold, beside Ultralytics' decoding and NMS; that
both find the same is asserted first. Then soft-NMS of 1,000 boxes beside its recurrence in NumPy,
which takes a round for each kept box, and has to stop where ours does, to be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from measure import Comparison, report, times_in_turns
from numpy.typing import NDArray
from sides import Given, has_ultralytics, our_detector
from torch import Tensor
from torch.testing import assert_close

from detkit.postprocess import SoftNMS
from detkit.structures import PaddedDetections

SIDE, STRIDES, PLACES = 640, (8, 16, 32), 8400
CLASSES, BINS, CANDIDATES = 80, 16, 8000
THRESHOLD, IOU, MOST = 0.25, 0.7, 300
BOXES, OVERLAP, MINIMUM = 1000, 0.3, 0.001  # the last two are detkit's defaults
Floats = NDArray[np.float32]
Kept = tuple[list[int], list[float]]


def random_boxes(count: int) -> torch.Tensor:
    """Boxes of 20 to 120 pixels in an image of 640."""
    corner = torch.rand(count, 2) * 520
    return torch.cat([corner, corner + 20 + torch.rand(count, 2) * 100], dim=1)


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """IoU of one box with others."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = (high - low).clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    found: Floats = common / (areas + (box[2:] - box[:2]).prod() - common)
    return found


def recurrence(boxes: Floats, scores: Floats, labels: Floats, limit: int) -> Kept:
    """Linear soft-NMS in NumPy: one round for each kept box, vectorised over the others."""
    left, values = np.arange(len(boxes)), scores.copy()
    kept: list[int] = []
    while len(left) and len(kept) < limit:
        best = left[values[left].argmax()]
        kept.append(int(best))
        left = left[left != best]
        overlap = overlaps(boxes[best], boxes[left]) * (labels[left] == labels[best])
        values[left] *= np.where(overlap >= OVERLAP, 1 - overlap, 1)
        left = left[values[left] > MINIMUM]
    return kept, values[kept].tolist()


def ultralytics_side(logits: Tensor, codes: Tensor) -> Callable[[], Tensor]:
    """Decode and suppress (1, K, P) tensors with YOLOv8's head and NMS: (N, 6)."""
    from ultralytics.nn.modules.head import Detect
    from ultralytics.utils.nms import non_max_suppression

    head = Detect(nc=CLASSES, reg_max=BINS, ch=(64, 64, 64)).eval()
    head.stride = torch.tensor([float(stride) for stride in STRIDES])
    features = [torch.zeros(1, 64, SIDE // stride, SIDE // stride) for stride in STRIDES]
    outputs = {
        "boxes": codes.transpose(1, 2).contiguous(),
        "scores": logits.transpose(1, 2).contiguous(),
        "feats": features,
    }

    def run() -> Tensor:
        with torch.no_grad():
            return non_max_suppression(
                head._inference(outputs),
                conf_thres=THRESHOLD,
                iou_thres=IOU,
                multi_label=True,
                max_det=MOST,
                max_nms=PLACES * CLASSES,
            )[0]

    return run


def our_side(logits: Tensor, codes: Tensor) -> Callable[[], PaddedDetections]:
    """Prediction by the head of the page `yolo_free_n` from its layers' outputs."""
    choices = {
        "score_threshold": THRESHOLD,
        "iou_threshold": IOU,
        "max_detections": MOST,
        "max_candidates": PLACES * CLASSES,
    }
    words = [f"model.head.postprocess.{key}={value}" for key, value in choices.items()]
    head = our_detector("yolo_free_n", CLASSES, *words).head
    head.layers = Given(logits, codes)
    features = [torch.zeros(1, 1, SIDE // stride, SIDE // stride) for stride in STRIDES]
    sizes = torch.full((1, 2), float(SIDE))
    return lambda: head.predict(features, sizes)


def beside_ultralytics() -> Comparison:
    """Dense candidates: 8,000 of 672,000 scores are above the threshold."""
    logits = torch.randn(1, PLACES, CLASSES)
    highest = logits.flatten().topk(CANDIDATES + 1).values
    logits += math.log(THRESHOLD / (1 - THRESHOLD)) - highest[-2:].mean()
    codes = torch.randn(1, PLACES, 4 * BINS) * 2
    ours, theirs = our_side(logits, codes), ultralytics_side(logits, codes)
    found, expected = ours().split()[0], theirs()
    assert_close(found.scores, expected[:, 4])
    assert_close(found.labels, expected[:, 5].long())
    # Theirs adds up to 7680 * 79 to the boxes and takes them as they are beyond the image.
    assert_close(found.boxes, expected[:, :4].clamp(0, SIDE), rtol=0, atol=0.05)
    work = f"post-processing, {PLACES:,} places x {CLASSES} classes, {CANDIDATES:,} candidates"
    return Comparison(work, "Ultralytics", 0.2, "s", *times_in_turns(ours, theirs))


def soft_nms_beside_numpy(classes: int, limit: int) -> Comparison:
    """Compare linear soft-NMS, after asserting that both sides agree."""
    boxes, scores = random_boxes(BOXES), torch.rand(BOXES) * 0.9 + 0.06
    labels = torch.randint(classes, (BOXES,))
    ours = SoftNMS(max_detections=limit)
    arrays = boxes.numpy(), scores.numpy(), labels.numpy()
    candidates = boxes[None], scores[None], labels[None]
    found = ours(*candidates).split()[0].scores.numpy()
    np.testing.assert_allclose(found, recurrence(*arrays, limit)[1], rtol=1e-4)
    many = "classes" if classes > 1 else "class"
    return Comparison(
        f"soft-NMS, {BOXES:,} boxes of {classes} {many}, {limit:,} detections at most",
        "NumPy",
        0.1,
        "s",
        *times_in_turns(lambda: ours(*candidates), lambda: recurrence(*arrays, limit)),
    )


def main() -> None:
    """Compare both."""
    torch.manual_seed(0)
    rows = [beside_ultralytics()] if has_ultralytics() else []
    report(
        [*rows, *(soft_nms_beside_numpy(*each) for each in ((80, BOXES), (80, 100), (1, BOXES)))]
    )


if __name__ == "__main__":
    main()
