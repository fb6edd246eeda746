"""Compare a training step with torchvision's and Ultralytics': 320 px, batch 4, one update.

Both sides see the same images and objects, take turns, and do the same work: normalise, forward,
losses, gradients, a step of SGD with momentum. torchvision's detectors are made like those with
published weights (norms and the layers up to stride 4 frozen), but the values are random, and the
same in ours; that the losses agree is asserted where nothing is sampled at random. The limit is
what the convolutions alone would take at the machine's rate of matrix products.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from measure import Comparison, gemm_rate, report, times_in_turns
from sides import batch_of, has_ultralytics, our_detector, random_targets
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision.models import detection
from weights_of_torchvision import as_published, imported

from detkit.structures import Target
from detkit.training.trainer import prepare_detector

SIDE, BATCH, OBJECTS, CLASSES = 320, 4, 10, 80
# Of the losses: torchvision's FCOS rounds the areas by which it chooses between objects.
AGREE = 0.02
Step = Callable[[], float]


class Model(NamedTuple):
    """A detector of torchvision; `background` says whether one of its classes is background."""

    build: Callable[..., nn.Module]
    background: bool
    at_most: float
    rounds: int = 5
    warm_up: int = 1


MODELS = {
    "retinanet": Model(detection.retinanet_resnet50_fpn, False, 0.95),
    "fcos": Model(detection.fcos_resnet50_fpn, False, 0.95),
    "faster_rcnn": Model(detection.fasterrcnn_resnet50_fpn, True, 0.95),
    "ssdlite": Model(detection.ssdlite320_mobilenet_v3_large, True, 0.9, 14, 3),
}


def step_of(model: nn.Module, losses: Callable[[], Any]) -> Step:
    """Forward, losses, gradients and an optimizer step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = sum(losses().values())
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def compare_torchvision(name: str, images: Tensor, targets: list[Target]) -> Comparison:
    """Compare our page `torchvision_NAME` with its original."""
    model = MODELS[name]
    classes = CLASSES + model.background
    choices = {"weights": None, "weights_backbone": None, "num_classes": classes, **_sizes(name)}
    peer, words = model.build(**choices), []
    if name != "ssdlite":
        peer, words = as_published(peer), ["model.backbone.frozen_stages=2"]
    ours = imported(peer, f"torchvision_{name}", CLASSES, *words).train()
    prepare_detector(ours, channels_last=None, compile=False)  # as `detkit train` does
    peer.train()
    pictures = [image.float() / 255 for image in images]
    truth = [{"boxes": t.boxes, "labels": t.labels + model.background} for t in targets]
    batch = batch_of(images, targets)
    steps = (
        step_of(ours, lambda: ours.loss(batch)),
        step_of(peer, lambda: peer(pictures, truth)),
    )
    if name != "faster_rcnn":  # which draws its samples at random
        first, second = (step() for step in steps)
        if abs(first - second) > AGREE * abs(second):
            raise AssertionError(f"{name}: the losses are {first} and {second}")
    times = times_in_turns(*steps, rounds=model.rounds, warm_up=model.warm_up)
    work = f"train step, {name}, {SIDE} px, batch {BATCH}"
    return Comparison(work, "torchvision", model.at_most, "s", *times, limit(steps[0]))


def _sizes(name: str) -> dict[str, int]:
    return {} if name == "ssdlite" else {"min_size": SIDE, "max_size": SIDE}


def compare_ultralytics(images: Tensor, targets: list[Target]) -> Comparison:
    """Compare our nano YOLO, widened to YOLOv8n's operations: 80 channels in the class towers."""
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    words = "model.head.layers.channels=80", "model.neck.necks.pan.blocks=2"
    ours = our_detector("yolo_free_n", CLASSES, *words).train()
    prepare_detector(ours, channels_last=None, compile=False)
    peer = DetectionModel("yolov8n.yaml", nc=CLASSES, verbose=False).train()
    peer.args = get_cfg()
    boxes = torch.cat([t.boxes for t in targets]) / SIDE
    theirs = {
        "img": images.float() / 255,
        "batch_idx": torch.arange(len(targets)).repeat_interleave(OBJECTS).float(),
        "cls": torch.cat([t.labels for t in targets])[:, None].float(),
        "bboxes": torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1),
    }
    batch = batch_of(images, targets)
    peer_losses = lambda: {"all": peer.loss(theirs)[0].sum()}  # noqa: E731
    steps = step_of(ours, lambda: ours.loss(batch)), step_of(peer, peer_losses)
    times = times_in_turns(*steps, rounds=14, warm_up=3)
    flops = [gigaflops(model, images[:1].float()) for model in (ours, peer)]
    remark = (
        f"{flops[0]:.2f} and {flops[1]:.2f} GFLOP an image forward; ours is yolo_free_n with "
        f"{' and '.join(words)}; {limit(steps[0])}"
    )
    work = f"train step, YOLO of equal operations, {SIDE} px, batch {BATCH}"
    return Comparison(work, "Ultralytics yolov8n", 1.0, "s", *times, remark)


def gigaflops(model: nn.Module, images: Tensor) -> float:
    """Operations of the forward pass; an addition and a multiplication count as two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    return float(counter.get_total_flops()) / 1e9


class Operations(TorchDispatchMode):
    """Counts the operations of convolutions and matrix products, forward and backward.

    FlopCounterMode also wants to know in which module they happen, and fails where a loss is looked
    at without gradients; for a convolution in groups its formula of the backward pass is too high.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and count it."""
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if func.overloadpacket is torch.ops.aten.convolution_backward:
            gradient, _, weight, wanted = *args[:3], args[-1]
            self.count += 2 * gradient.numel() * weight[0].numel() * sum(wanted[:2])
        elif formula is not None:
            self.count += formula(*args, **(kwargs or {}), out_val=found)
        return found


def limit(step: Step) -> str:
    """Estimate a step's time from its convolutions and matrix products alone."""
    with Operations() as operations:
        step()
    least = operations.count / 1e9 / gemm_rate()
    return f"the convolutions alone need {least:.3g} s at the rate of matrix products"


def main() -> None:
    """Compare all detectors, or the named ones."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8)
    # The same objects in each image: torchvision's RetinaNet divides by the positives of each.
    targets = random_targets(1, OBJECTS, CLASSES, SIDE) * BATCH
    chosen = [name for name in [*MODELS, "yolo"] if name in sys.argv] or [*MODELS, "yolo"]
    rows = [compare_torchvision(name, images, targets) for name in chosen if name in MODELS]
    if "yolo" in chosen and has_ultralytics():
        rows.append(compare_ultralytics(images, targets))
    report(rows)


if __name__ == "__main__":
    main()
