"""Compare detection in one image with torchvision's: same weights and detections, 512 px.

torchvision's networks have random weights whose last layers are rescaled, so that about as many
scores are above the threshold as in a photograph; `detkit import` puts them into ours. That both
find the same boxes, classes and scores is asserted first. Ours gets the image as bytes and theirs
as numbers from 0 to 1, as each takes them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from measure import Comparison, report, times_in_turns
from sides import batch_of, random_targets
from torch import Tensor, nn
from torchvision.models import detection
from weights_of_torchvision import as_published, imported

from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.structures import Detections

SIDE, CLASSES = 512, 80
LEAST_FOUND = 20  # detections that the comparison needs to mean something
CLOSE, MOST_AGREE = 0.05, 0.95  # pixels; rounding swaps detections whose scores are equal to 1e-6


class Model(NamedTuple):
    """A detector of torchvision, with the target mean and deviation of its layers' outputs."""

    build: Callable[..., nn.Module]
    background: bool
    spread: dict[str, tuple[float, float]]  # layer to mean and standard deviation


MODELS = {
    "retinanet": Model(
        detection.retinanet_resnet50_fpn,
        False,
        {
            "head.classification_head.cls_logits": (-6.5, 1.1),
            "head.regression_head.bbox_reg": (0, 0.3),
        },
    ),
    "fcos": Model(
        detection.fcos_resnet50_fpn,
        False,
        {
            "head.classification_head.cls_logits": (-6, 1.1),
            "head.regression_head.bbox_ctrness": (0, 1),
            "head.regression_head.bbox_reg": (2, 1),
        },
    ),
    "faster_rcnn": Model(
        detection.fasterrcnn_resnet50_fpn,
        True,
        {
            "rpn.head.cls_logits": (0, 1),
            "rpn.head.bbox_pred": (0, 0.2),
            "roi_heads.box_predictor.cls_score": (0, 1.3),
            "roi_heads.box_predictor.bbox_pred": (0, 0.5),
        },
    ),
}


def spread(model: nn.Module, image: Tensor, wanted: dict[str, tuple[float, float]]) -> None:
    """Rescale layers one after the other so that their outputs have a mean and a deviation."""
    for name, (mean, deviation) in wanted.items():
        layer, outputs = model.get_submodule(name), []
        hook = layer.register_forward_hook(lambda _, __, out, kept=outputs: kept.append(out))
        with torch.no_grad():
            model([image])
            hook.remove()
            values = torch.cat([output.flatten() for output in outputs])
            factor = deviation / values.std()
            layer.weight.mul_(factor)
            layer.bias.sub_(values.mean()).mul_(factor).add_(mean)


def assert_same(ours: Detections, theirs: dict[str, Tensor], background: bool) -> None:
    """Check that both sides give enough detections, and the same ones."""
    if len(ours.scores) < LEAST_FOUND:
        raise AssertionError(f"{len(ours.scores)} detections are too few to compare")
    torch.testing.assert_close(ours.scores, theirs["scores"], rtol=0, atol=1e-4)
    near = (ours.boxes - theirs["boxes"]).abs().amax(dim=1) < CLOSE
    same = near & (ours.labels + background == theirs["labels"])
    if same.float().mean() < MOST_AGREE:
        raise AssertionError(f"only {same.float().mean():.1%} of the detections are the same")


def compare(name: str, image: Tensor) -> Comparison:
    """Compare our page `torchvision_NAME` with its original."""
    chosen = MODELS[name]
    peer = as_published(
        chosen.build(
            weights=None,
            weights_backbone=None,
            num_classes=CLASSES + chosen.background,
            min_size=SIDE,
            max_size=SIDE,
        )
    ).eval()
    picture = image[0].float() / 255
    spread(peer, picture, chosen.spread)
    ours = imported(peer, f"torchvision_{name}", CLASSES).eval()
    ours = ready_to_predict(ours, image)  # as `detkit predict` does
    batch = batch_of(image, random_targets(1, 1, CLASSES, SIDE))
    with torch.inference_mode():
        found, expected = ours.predict(batch)[0], peer([picture])[0]
        assert_same(found, expected, chosen.background)
        times = times_in_turns(lambda: ours.predict(batch), lambda: peer([picture]), warm_up=2)
    remark = f"{len(found.scores)} detections on both sides"
    return Comparison(f"inference, {name}, {SIDE} px", "torchvision", 0.95, "s", *times, remark)


def main() -> None:
    """Compare all detectors, or the named ones."""
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    chosen = [name for name in MODELS if name in sys.argv] or list(MODELS)
    report([compare(name, image) for name in chosen])


if __name__ == "__main__":
    main()
