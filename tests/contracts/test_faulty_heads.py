"""Heads, roi heads, proposers and detectors that break a promise are caught."""

from types import SimpleNamespace

import torch
from faults import Faults, require_caught
from torch import nn

from detkit.structures import PaddedTargets, Target

faults = Faults()
LEARN = "losses are finite and reach each parameter"
SMALL = {"layers": {"convs": 1}}


@faults.add("head", "fcos", "predictions have their form", "gave tuple, expected Dense", **SMALL)
def a_plain_tuple(base):
    class Part(base):
        def forward(self, features):
            return tuple(super().forward(features))

    return Part


@faults.add("head", "fcos", LEARN, r"the losses are \['box'\], expected a dict of scalars", **SMALL)
def another_name_of_a_loss(base):
    class Part(base):
        def loss(self, features, targets):
            return {"box": super().loss(features, targets)["loss/box"]}

    return Part


@faults.add("head", "fcos", LEARN, r"' is \(2,\) torch.float32, expected \(\)", **SMALL)
def a_loss_that_is_no_scalar(base):
    class Part(base):
        def loss(self, features, targets):
            return {
                name: value.repeat(2) for name, value in super().loss(features, targets).items()
            }

    return Part


@faults.add(
    "head", "fcos", LEARN, "with no object in any image a loss is not finite: .*nan", **SMALL
)
def nan_without_objects(base):
    class Part(base):
        def loss(self, features, targets):
            count = sum(targets.counts)
            return {
                n: v * count / count if count else v / 0 * 0
                for n, v in super().loss(features, targets).items()
            }

    return Part


@faults.add(
    "head", "fcos", LEARN, "got no gradient with one object in one image|with no obj", **SMALL
)
def no_gradient_without_objects(base):
    class Part(base):
        def loss(self, features, targets):
            found = super().loss(features, targets)
            if 0 in targets.counts:
                found = {"loss/classification": found["loss/classification"]}
            return found

    return Part


@faults.add("head", "fcos", LEARN, "raised IndexError|with nothing but crowds", **SMALL)
def crowds_are_taken_for_objects(base):
    class Part(base):
        def loss(self, features, targets):
            for target in targets.split():
                if len(target):
                    target.boxes[~target.ignored][0]
            return super().loss(features, targets)

    return Part


@faults.add(
    "head", "fcos", "detections are inside their image", "over the edge of an image", **SMALL
)
def boxes_are_not_clipped(base):
    class Part(base):
        def predict(self, features, image_sizes):
            return super().predict(features, torch.full_like(image_sizes, 999))

    return Part


@faults.add(
    "head", "fcos", "detections are inside their image", "scores do not fall: sort", **SMALL
)
def worst_first(base):
    class Part(base):
        def predict(self, features, image_sizes):
            found = super().predict(features, image_sizes)
            rising = torch.where(found.scores > 0, found.scores, 2).argsort(dim=1)
            return found._replace(scores=found.scores.gather(1, rising))

    return Part


@faults.add(
    "head", "fcos", "detections are inside their image", "labels reach from 1 to 3, exp", **SMALL
)
def labels_from_1(base):
    class Part(base):
        def predict(self, features, image_sizes):
            found = super().predict(features, image_sizes)
            return found._replace(labels=found.labels + found.scores.ceil().long())

    return Part


@faults.add(
    "head", "fcos", "an image is detected as if alone", "other detections in a batch", **SMALL
)
def scores_of_the_batch(base):
    class Part(base):
        def predict(self, features, image_sizes):
            found = super().predict(features, image_sizes)
            return found._replace(scores=found.scores / len(found.scores))

    return Part


@faults.add(
    "head", "fcos", "detections are reproducible", "other detections the second time", **SMALL
)
def random_scores(base):
    class Part(base):
        def predict(self, features, image_sizes):
            found = super().predict(features, image_sizes)
            return found._replace(scores=torch.rand(1) * found.scores)

    return Part


@faults.add("head", "fcos", "losses leave their input", "modified its inputs", **SMALL)
def targets_are_scaled_in_place(base):
    class Part(base):
        def loss(self, features, targets):
            targets.boxes.mul_(1.01)
            return super().loss(features, targets)

    return Part


@faults.add("head", "fcos", "predicting does not disturb training", "inference", **SMALL)
def a_tensor_of_inference_is_kept(base):
    class Part(base):
        kept = None

        def predict(self, features, image_sizes):
            self.kept = torch.ones(()) * 2
            return super().predict(features, image_sizes)

        def loss(self, features, targets):
            one = 1 if self.kept is None else self.kept
            return {n: v * one for n, v in super().loss(features, targets).items()}

    return Part


@faults.add("head", "fcos", "losses are float32 under autocast", "is .* torch.bfloat16", **SMALL)
def losses_in_half_precision(base):
    class Part(base):
        def loss(self, features, targets):
            found = super().loss(features, targets)
            if not torch.is_autocast_enabled("cpu"):
                return found
            return {name: value.bfloat16() for name, value in found.items()}

    return Part


@faults.add("head", "fcos", "assignments name objects", "names object 2 of 2: count only", **SMALL)
def crowds_are_counted(base):
    class Part(base):
        def assign(self, features, targets):
            images = targets.split()
            counted = [Target(t.boxes, t.labels, torch.zeros_like(t.ignored)) for t in images]
            return super().assign(features, PaddedTargets.of(counted))

    return Part


@faults.add("proposer", "rpn", "training proposals are valid regions", "are not zero")
def proposals_leave_boxes_in_the_padding(base):
    class Part(base):
        def loss_and_proposals(self, features, targets, image_sizes):
            losses, regions = super().loss_and_proposals(features, targets, image_sizes)
            return losses, regions._replace(mask=regions.mask & (regions.boxes[..., 0] > 1))

    return Part


ROI = {"box_head": {"name": "two_fc", "width": 16}}


@faults.add("roi_head", "standard", "predictions cover every region", "scores other than 0", **ROI)
def scores_beside_the_regions(base):
    class Part(base):
        def forward(self, features, regions, image_sizes):
            found = super().forward(features, regions, image_sizes)
            return found._replace(scores=found.scores + 0.1)

    return Part


@faults.add(
    "roi_head", "standard", "batches without regions give gradients", "raised ZeroDiv", **ROI
)
def regions_are_taken_for_granted(base):
    class Part(base):
        def loss(self, features, regions, targets, image_sizes):
            sum(1 / len(boxes) for boxes in regions.split())
            return super().loss(features, regions, targets, image_sizes)

    return Part


@faults.add(
    "roi_head",
    "standard",
    "padding has no effect",
    "padding .* changes scores",
    min_size=0.0,
    **ROI,
)
def padding_is_classified(base):
    class Part(base):
        def predict(self, features, regions, image_sizes):
            everywhere = torch.ones_like(regions.mask)
            return super().predict(features, regions._replace(mask=everywhere), image_sizes)

    return Part


@faults.add("roi_head", "standard", "no gradient flows into region boxes", "detach them", **ROI)
def regions_get_a_gradient(base):
    class Part(base):
        def loss(self, features, regions, targets, image_sizes):
            found = super().loss(features, regions, targets, image_sizes)
            return {**found, "loss/sides": regions.boxes.sum()}

    return Part


@faults.add(
    "detector",
    "one_stage",
    "it is a module",
    "SimpleNamespace is no torch.nn.Module",
    backbone="squeezenet1_1",
    neck="none",
    head="ssdlite",
)
def no_module(base):
    def build(*, width: int = 1, backbone: str = "", neck: str = "", head: str = "") -> nn.Module:
        """A detector."""
        return SimpleNamespace(width=width)

    return build


@faults.parametrize()
def test_the_fault_of_a_head_is_caught(fault):
    require_caught(fault)
