"""The assigners that use predictions as they worked image by image, without padding."""

from typing import NamedTuple

import reference
import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, box_sides, iou, pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.ops.initial_boxes import initial_boxes
from detkit.structures import BACKGROUND, IGNORED, Assignment

_LEAST = 1e-8
_FAR = 1e4


def positions_in_groups(values, groups):
    by_value = values.argsort(descending=True, stable=True)
    order = by_value[groups[by_value].argsort(stable=True)]
    sizes = groups.bincount()
    starts = sizes.cumsum(0) - sizes
    indices = torch.arange(len(values), device=values.device)
    positions = torch.empty_like(indices)
    positions[order] = indices - starts[groups[order]]
    return positions


def largest_in_groups(values, groups, count):
    return values.new_zeros(count).scatter_reduce_(0, groups, values, "amax")


_ROUNDING = 0.001


class _OtaPairs(NamedTuple):
    object: Tensor
    prior: Tensor
    cost: Tensor

    def keep(self, mask):
        return _OtaPairs(*(values[mask] for values in self))


class SimOTAAssigner:
    uses_predictions = True

    def __call__(self, priors, scores, boxes, target):
        if scores is None or boxes is None:
            raise ValueError("assigner 'sim_ota' uses predictions, got none: pass scores and boxes")
        matched = torch.full_like(priors.level, BACKGROUND)
        if len(target) == 0:
            return Assignment(matched)
        log_scores = scores.clamp(_LEAST, 1 - _LEAST).log()
        log_others = torch.log1p(-scores.clamp(_LEAST, 1 - 1e-07))
        pairs_by_chunk = [
            self._cheapest_pairs(priors, (log_scores, log_others), boxes, target, chunk)
            for chunk in row_chunks(len(target), len(matched))
        ]
        pairs = _OtaPairs(*(torch.cat(values) for values in zip(*pairs_by_chunk, strict=True)))
        pairs = pairs.keep(positions_in_groups(-pairs.cost, pairs.prior) == 0)
        matched[pairs.prior] = pairs.object
        return Assignment(matched)

    def _cheapest_pairs(self, priors, logarithms, boxes, target, chunk):
        objects = target.boxes[chunk]
        inside, near = self._inside_and_near(priors, objects)
        number, prior = (inside | near).nonzero(as_tuple=True)
        overlap = iou(boxes[prior], objects[number])
        highest = torch.where(positions_in_groups(overlap, number) < self.topk, overlap, 0)
        pair_counts = overlap.new_zeros(len(objects)).index_add_(0, number, highest)
        pair_counts = pair_counts.long().clamp(min=1)
        cost = _class_cost(logarithms, prior, target.labels[chunk][number])
        cost = cost - self.overlap_cost * (overlap + _LEAST).log()
        cost = cost + _FAR * ~(inside & near)[number, prior]
        pairs = _OtaPairs(number + chunk.start, prior, cost)
        return pairs.keep(positions_in_groups(-cost, number) < pair_counts[number])

    def _inside_and_near(self, priors, objects):
        offset = (box_centres(priors.boxes) - box_centres(objects)[:, None]).abs()
        inside = (offset < box_sides(objects)[:, None] / 2).all(dim=-1)
        near = (offset < self.centre_radius * priors.stride[:, None]).all(dim=-1)
        return (inside, near)


def _class_cost(logarithms, prior, label):
    log_scores, log_others = logarithms
    as_background = -log_others.sum(dim=1)
    return as_background[prior] + log_others[prior, label] - log_scores[prior, label]


class _AlignedPairs(NamedTuple):
    object: Tensor
    prior: Tensor
    alignment: Tensor
    overlap: Tensor
    untrained: Tensor
    best: Tensor

    def keep(self, mask):
        return _AlignedPairs(*(values[mask] for values in self))


class TaskAlignedAssigner:
    uses_predictions = True

    def __call__(self, priors, scores, boxes, target):
        if scores is None or boxes is None:
            raise ValueError(
                "assigner 'task_aligned' uses predictions, got none: pass scores and boxes"
            )
        matched = torch.full_like(priors.level, BACKGROUND)
        soft = torch.ones_like(priors.stride)
        if len(target) == 0:
            return Assignment(matched, soft)
        pairs_by_chunk = [
            self._best_pairs(priors, scores, boxes, target, chunk)
            for chunk in row_chunks(len(target), len(matched))
        ]
        pairs = _AlignedPairs(*(torch.cat(values) for values in zip(*pairs_by_chunk, strict=True)))
        claims = pairs.overlap + 1.0 * pairs.best if self.keep_best else pairs.overlap
        pairs = pairs.keep(positions_in_groups(claims, pairs.prior) == 0)
        matched[pairs.prior] = pairs.object
        soft[pairs.prior] = _soft_targets(pairs, len(target))
        return Assignment(matched, soft)

    def _best_pairs(self, priors, scores, boxes, target, chunk):
        objects = target.boxes[chunk]
        number, prior = self._inside(priors, objects).nonzero(as_tuple=True)
        overlap = iou(boxes[prior], objects[number])
        best = largest_in_groups(overlap, number, len(objects))
        untrained = (best < self.least_overlap)[number]
        if self.least_overlap > 0:
            typical = iou(initial_boxes(priors)[prior], objects[number])
            overlap = torch.where(untrained, typical, overlap)
        score = scores[prior, target.labels[chunk][number]]
        alignment = score**self.alpha * overlap**self.beta
        ranks = positions_in_groups(alignment, number)
        pairs = _AlignedPairs(
            number + chunk.start, prior, alignment, overlap, untrained, ranks == 0
        )
        return pairs.keep((ranks < self.topk) & (alignment > 0))

    def _inside(self, priors, objects):
        reach = box_sides(objects).clamp(min=self.least_cells * priors.stride.amin()) / 2
        offset = (box_centres(priors.boxes) - box_centres(objects)[:, None]).abs()
        return (offset < reach[:, None]).all(dim=-1)


def _soft_targets(pairs, count):
    most_aligned = largest_in_groups(pairs.alignment, pairs.object, count)[pairs.object]
    highest = largest_in_groups(pairs.overlap, pairs.object, count)[pairs.object]
    highest = highest.masked_fill(pairs.untrained, 1.0)
    return pairs.alignment / most_aligned * highest


class FeatureSelectionAssigner:
    uses_predictions = True

    def __call__(self, priors, scores, boxes, target):
        matched = torch.full_like(priors.level, BACKGROUND)
        ring = torch.zeros_like(priors.level, dtype=torch.bool)
        areas = ((target.boxes[:, 2:] - target.boxes[:, :2]).prod(dim=1)).tolist()
        for number in sorted(range(len(target)), key=lambda n: (-areas[n], -n)):  # smallest last
            box, label = target.boxes[number], int(target.labels[number])
            inside = self._near(priors, box, self.effective, priors.stride / 2)
            means = {}
            for level in priors.level.unique().tolist():
                chosen = inside & (priors.level == level)
                if chosen.any():
                    losses = self._focal(scores[chosen], label) + self._overlap(boxes[chosen], box)
                    means[level] = losses.mean().item()
            if means:
                best = min(means, key=lambda level: (means[level], level))
                matched[inside & (priors.level == best)] = number
                around = self._near(priors, box, self.ignored, torch.zeros(()))
                ring |= around & ((priors.level - best).abs() <= 1)
        matched[ring & (matched == BACKGROUND)] = IGNORED
        return Assignment(matched)

    def _near(self, priors, box, share, least):
        offset = (box_centres(priors.boxes) - box_centres(box)).abs()
        width, height = (share * box_sides(box) / 2).tolist()
        return (offset[:, 0] <= least.clamp(min=width)) & (offset[:, 1] <= least.clamp(min=height))

    def _focal(self, scores, label):
        scores = scores.clamp(1e-7, 1 - 1e-7)
        true = torch.zeros_like(scores).index_fill_(1, torch.tensor(label), 1.0)
        right = true * scores + (1 - true) * (1 - scores)
        weight = true * self.alpha + (1 - true) * (1 - self.alpha)
        return (-weight * (1 - right) ** self.gamma * right.log()).sum(dim=1)

    def _overlap(self, boxes, box):
        return -iou(boxes, box).clamp(min=1e-7).log()


class YOLOv2Assigner:
    uses_predictions = True

    def __call__(self, priors, scores, boxes, target):
        by_shape = object.__new__(reference.GridCellAssigner)
        by_shape.ignored_iou, by_shape.shape_iou = 1.0, None
        matched = by_shape(priors, scores, boxes, target).matched
        if len(target) and self.ignored_iou < 1:
            best = pairwise_iou(boxes, target.boxes).amax(dim=1)
            matched = matched.masked_fill((best > self.ignored_iou) & (matched < 0), IGNORED)
        return Assignment(matched)


class YOLOv1Assigner:
    uses_predictions = True

    def __call__(self, priors, scores, boxes, target):
        matched = torch.full_like(priors.level, BACKGROUND)
        corners = (
            (box_centres(priors.boxes) / priors.stride[:, None] + _ROUNDING).floor()
        ).tolist()
        cells = [
            (*corner, stride)
            for corner, stride in zip(corners, priors.stride.tolist(), strict=True)
        ]
        free = set(cells)
        for number, box in enumerate(target.boxes):
            responsible = []
            for stride in priors.stride.unique().tolist():
                cell = (*(box_centres(box) / stride).floor().tolist(), stride)
                if cell in free:
                    free.remove(cell)
                    responsible += [p for p, other in enumerate(cells) if other == cell]
            if responsible:
                fits = [self._fit(boxes[p], box) for p in responsible]
                matched[responsible[fits.index(max(fits))]] = number
        return Assignment(matched)

    def _fit(self, predicted, box):
        overlap = float(iou(predicted, box))
        ours, its = (torch.cat([box_centres(b), box_sides(b)]) for b in (predicted, box))
        return overlap if overlap > 0 else -float((ours - its).square().mean().sqrt())
