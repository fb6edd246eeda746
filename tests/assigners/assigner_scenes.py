"""Priors and random objects for the tests of assigners."""

from __future__ import annotations

import torch

from detkit.priors import Anchors, Points
from detkit.structures import Assignment, FeatureSpec, PaddedTargets, Priors, Target

CPU = torch.device("cpu")
SPECS = [FeatureSpec(1, stride) for stride in (8, 16, 32)]
SIZES = [(16, 20), (8, 10), (4, 5)]  # an image of 128 x 160


def points(offset=0.5):
    return Points(feature_specs=SPECS, offset=offset)(SIZES, CPU)


def anchors(scale=4.0, octaves=1, ratios=(1.0,), offset=0.5):
    made = Anchors(feature_specs=SPECS, scale=scale, octaves=octaves, ratios=ratios, offset=offset)
    return made(SIZES, CPU)


def priors_from(*boxes):
    count = len(boxes)
    return Priors(torch.tensor(boxes), torch.full((count,), 8.0), torch.zeros(count).long())


def objects(*boxes):
    count = len(boxes)
    table = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(table, torch.zeros(count).long(), torch.zeros(count).bool())


def assign(assigner, priors, target, scores=None, boxes=None):
    """The assignment of one image, (P,) each."""
    batch = [None if values is None else values[None] for values in (scores, boxes)]
    matched, soft = assigner(priors, *batch, PaddedTargets.of([target]))
    return Assignment(matched[0], None if soft is None else soft[0])


def random_objects(count, seed, step=None):
    """Boxes in the image; on a grid of `step` pixels many overlaps are equal."""
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(2, count, 2, generator=generator)
    boxes = torch.cat([corner * 100, corner * 100 + 8 + sides**2 * 90], dim=1)
    if step is not None:
        boxes = (boxes / step).round() * step
        boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + step)
    return objects(*boxes.tolist())
