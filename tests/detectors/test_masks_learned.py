"""Mask R-CNN learns the masks of eight pictures by heart, with one stage and with three."""

import pytest
import torch
from eight_images import first_images, train

WORDS = [
    "model/backbone=timm",
    "model.backbone.model=cs3darknet_s",
    "model.backbone.levels=[2,3,4,5]",
    "model.neck.out_channels=64",
    "model.roi_head.box_head.width=64",
    "model.roi_head.sampler.number=32",
    "model.roi_head.mask_head.channels=64",
    "model.proposer.training_postprocess.max_candidates=200",
    "model.proposer.training_postprocess.max_detections=100",
]
COMPOSITIONS = {
    "standard": ["model=mask_rcnn"],
    "cascade": ["model=mask_rcnn", "model/roi_head=cascade"],
}


def overlap(first, second):
    return ((first & second).sum() / (first | second).sum()).item()


def best_overlaps(detections, labels, bitmaps):
    """The highest IoU of each object's mask with that of a detection of its class."""
    found = [detections.masks.bitmap(position) for position in range(len(detections.scores))]
    return [
        max(
            (
                overlap(m, bitmap)
                for m, n in zip(found, detections.labels, strict=True)
                if n == label
            ),
            default=0.0,
        )
        for label, bitmap in zip(labels, bitmaps, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_masks_of_eight_images_are_learned_by_heart(tmp_path, name):
    words = [*COMPOSITIONS[name], *WORDS]
    batch, detector, metric = first_images(tmp_path / "shapes", 8, 96, *words)
    assert torch.equal(batch.to_image, torch.eye(3).double().expand(8, 3, 3))
    train(detector, [batch], 280, 0.003)
    detections = detector.eval().predict(batch)
    metric.update(batch.image_ids, detections, batch.original_targets)
    assert metric.compute()["AP50"] >= 0.95
    overlaps = [
        value
        for image, found in enumerate(detections)
        for value in best_overlaps(
            found,
            batch.targets.labels[image, : batch.targets.counts[image]],
            batch.targets.masks.bitmaps(image).bool(),
        )
    ]
    assert len(overlaps) > 8
    assert sum(overlaps) / len(overlaps) >= 0.8
