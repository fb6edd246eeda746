"""Matching and loss of RetinaNet for the 200,000 anchors of a large image, batch 2, 80 classes.

768 x 1408 pixels have about as many as the usual 800 x 1333, and sides that every stride divides:
elsewhere torchvision spaces anchors by the image's side over the cells, which is not the stride.

Both sides get the same logits, box codes, anchors and objects, and the time is that of matching,
losses and the gradients of logits and codes: no network. That losses and gradients are equal is
asserted first. The memory is what a process of its own holds at most beyond its inputs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import torch
from measure import (
    Comparison,
    forget_peak,
    in_turns,
    own_process,
    peak_mib,
    report,
    resident_mib,
    times_in_turns,
)
from sides import Given, our_detector
from torch import Tensor
from torchvision.models.detection import retinanet_resnet50_fpn
from torchvision.models.detection.image_list import ImageList

from detkit.structures import PaddedTargets, Target

SIZE, BATCH, CLASSES = (768, 1408), 2, 80
STRIDES = (8, 16, 32, 64, 128)
OBJECTS = (10, 200)
ROUNDS, MEMORY_ROUNDS = 5, 2  # memory varies by 2 % only
Step = Callable[[], tuple[Tensor, Tensor]]


def random_boxes(count: int) -> Tensor:
    """Boxes with sides of 16 to 400 pixels, uniform in the logarithm."""
    sides = 16 * torch.rand(count, 2).mul(3.2).exp()
    corner = torch.rand(count, 2) * (torch.tensor([1408.0, 768.0]) - sides).clamp(min=1)
    return torch.cat([corner, corner + sides], dim=1)


def inputs() -> tuple[Tensor, Tensor]:
    """Logits of an untrained head, about -4.6, and small codes; both require a gradient."""
    cells = sum((SIZE[0] // stride) * (SIZE[1] // stride) for stride in STRIDES)
    logits = torch.randn(BATCH, cells * 9, CLASSES) * 0.5 - 4.6
    return logits.requires_grad_(), (torch.randn(BATCH, cells * 9, 4) * 0.1).requires_grad_()


def our_step(logits: Tensor, codes: Tensor, targets: list[Target]) -> Step:
    """Losses and their gradients by the head of the page `torchvision_retinanet`."""
    head = our_detector("torchvision_retinanet", CLASSES).head
    head.layers = Given(logits, codes)
    features = [torch.zeros(BATCH, 1, SIZE[0] // s, SIZE[1] // s) for s in STRIDES]
    padded = PaddedTargets.of(targets)

    def step() -> tuple[Tensor, Tensor]:
        losses = head.loss(features, padded)
        sum(losses.values()).backward()
        return losses["loss/classification"].detach(), losses["loss/box"].detach()

    return step


def peer_step(logits: Tensor, codes: Tensor, targets: list[Target]) -> Step:
    """The same by torchvision."""
    model = retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES)
    features = [torch.zeros(BATCH, 1, SIZE[0] // s, SIZE[1] // s) for s in STRIDES]
    images = ImageList(torch.zeros(BATCH, 3, *SIZE), [SIZE] * BATCH)
    anchors = model.anchor_generator(images, features)
    truth = [{"boxes": target.boxes, "labels": target.labels} for target in targets]
    outputs = {"cls_logits": logits, "bbox_regression": codes}

    def step() -> tuple[Tensor, Tensor]:
        losses = model.compute_loss(truth, outputs, anchors)
        sum(losses.values()).backward()
        return losses["classification"].detach(), losses["bbox_regression"].detach()

    return step


def targets_of(count: int) -> list[Target]:
    """The same objects in each image: torchvision divides each image's loss by its positives."""
    boxes, labels = random_boxes(count), torch.randint(CLASSES, (count,))
    return [Target(boxes, labels, torch.zeros(count, dtype=torch.bool))] * BATCH


def gradients(step: Step, *wanted: Tensor) -> list[Tensor]:
    """The losses of a step, and its gradients."""
    for tensor in wanted:
        tensor.grad = None
    losses = step()
    return [*losses, *(tensor.grad for tensor in wanted if tensor.grad is not None)]


def compare(count: int) -> list[Comparison]:
    """Compare time and memory with this number of objects per image."""
    torch.manual_seed(count)
    logits, codes = inputs()
    targets = targets_of(count)
    ours, theirs = our_step(logits, codes, targets), peer_step(logits, codes, targets)
    mine, peers = (gradients(step, logits, codes) for step in (ours, theirs))
    for value, other in zip(mine, peers, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-7)
    del mine, peers
    work = f"matching and loss, {logits.shape[1]:,} anchors, {count} objects, batch {BATCH}"
    times = times_in_turns(ours, theirs, ROUNDS)
    del logits, codes, ours, theirs
    rounds = in_turns(
        lambda: own_process(__file__, "detkit", str(count))["mib"],
        lambda: own_process(__file__, "torchvision", str(count))["mib"],
        rounds=MEMORY_ROUNDS,
        warm_up=0,
    )
    remark = f"what a process holds beyond logits and codes (412 MiB); {MEMORY_ROUNDS} rounds"
    return [
        Comparison(work, "torchvision", 0.33, "s", *times),
        Comparison(f"memory of {work}", "torchvision", 0.5, "MiB", *rounds, remark),
    ]


def memory(side: str, count: int) -> None:
    """Print the peak memory of one step beyond its inputs."""
    torch.manual_seed(count)
    logits, codes = inputs()
    step = (our_step if side == "detkit" else peer_step)(logits, codes, targets_of(count))
    before = resident_mib()
    forget_peak()
    step()
    print(json.dumps({"mib": peak_mib() - before}))


def main() -> None:
    """Compare with few and with many objects."""
    report([row for count in OBJECTS for row in compare(count)])


if __name__ == "__main__":
    if sys.argv[1:2] in (["detkit"], ["torchvision"]):
        memory(sys.argv[1], int(sys.argv[2]))
    else:
        main()
