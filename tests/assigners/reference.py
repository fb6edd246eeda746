"""The assigners as they worked image by image, without padding: a reference for batches."""

import math

import torch

from detkit.ops.boxes import EPSILON, box_areas, box_centres, box_sides, iou, pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.structures import BACKGROUND, IGNORED, Assignment

_ROUNDING = 1e-3


def cells_away(priors, objects):
    stride = priors.stride[:, None]
    middles = (box_centres(priors.boxes) / stride + _ROUNDING).floor() + 0.5
    return box_centres(objects) / stride[:, None] - middles[:, None]


def in_cell(away):
    return (away >= -0.5) & (away < 0.5)


def shape_iou(priors, objects):
    first, second = (box_sides(priors)[:, None], box_sides(objects))
    overlap = first.minimum(second).prod(dim=-1)
    union = first.prod(dim=-1) + second.prod(dim=-1) - overlap
    return overlap / (union + EPSILON)


LEAST_DISTANCE = 0.01


class ATSSAssigner:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        matched = torch.full_like(priors.level, BACKGROUND)
        best = torch.full_like(priors.stride, -1.0)
        for chunk in row_chunks(len(target), len(matched)):
            values, index = self._claims(priors, target.boxes[chunk]).max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
        return Assignment(matched)

    def _claims(self, priors, objects):
        centres = box_centres(priors.boxes)
        candidates = self._candidates(centres, priors.level, box_centres(objects))
        overlaps = iou(priors.boxes[candidates], objects)
        spread = overlaps.std(dim=0) if len(overlaps) > 1 else torch.zeros_like(overlaps[0])
        threshold = overlaps.mean(dim=0) + spread
        points = centres[candidates]
        inside = torch.cat([points - objects[:, :2], objects[:, 2:] - points], dim=-1)
        positive = (overlaps >= threshold) & (inside.amin(dim=-1) > LEAST_DISTANCE)
        claims = overlaps.new_full((len(centres), len(objects)), -1.0)
        return claims.scatter_(0, candidates, torch.where(positive, overlaps, -1.0))

    def _candidates(self, centres, level, objects):
        nearest, start = ([], 0)
        for block in torch.split(centres, level.bincount().tolist()):
            distance = (block[:, None] - objects).square().sum(dim=-1)
            count = min(self.topk, len(block))
            nearest.append(distance.topk(count, dim=0, largest=False).indices + start)
            start += len(block)
        return torch.cat(nearest)


class BestPriorAssigner:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        matched = _matched_by_overlap(priors.boxes, target.boxes, self.foreground)
        owners = torch.full_like(matched, BACKGROUND)
        waiting = torch.arange(len(target), device=matched.device)
        while len(waiting) > 0:
            best, prior = _best_free_priors(priors.boxes, target.boxes[waiting], owners >= 0)
            prior, waiting, best = (prior[best > 0], waiting[best > 0], best[best > 0])
            winners = _first_with_most(best, prior, len(owners))
            owners[prior[winners]] = waiting[winners]
            waiting = waiting[~winners]
        return Assignment(torch.where(owners >= 0, owners, matched))


def _matched_by_overlap(priors, objects, foreground):
    best = priors.new_zeros(len(priors))
    matched = torch.full((len(priors),), BACKGROUND, device=priors.device)
    for chunk in row_chunks(len(objects), len(priors)):
        values, index = pairwise_iou(objects[chunk], priors).max(dim=0)
        matched = torch.where(values > best, index + chunk.start, matched)
        best = best.maximum(values)
    return matched.masked_fill(best < foreground, BACKGROUND)


def _best_free_priors(priors, objects, occupied):
    values, index = ([], [])
    for chunk in row_chunks(len(objects), len(priors)):
        overlaps = pairwise_iou(objects[chunk], priors).masked_fill(occupied, 0)
        highest = overlaps.max(dim=1)
        values.append(highest.values)
        index.append(highest.indices)
    return (torch.cat(values), torch.cat(index))


def _first_with_most(values, prior, count):
    most = values.new_zeros(count).scatter_reduce_(0, prior, values, "amax")
    number = torch.arange(len(values), device=values.device)
    number = torch.where(values == most[prior], number, len(values))
    first = number.new_full((count,), len(values)).scatter_reduce_(0, prior, number, "amin")
    return number == first[prior]


class FCOSAssigner:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        matched = torch.full_like(priors.level, BACKGROUND)
        smallest = torch.full_like(priors.stride, math.inf)
        for chunk in row_chunks(len(target), len(matched)):
            objects = target.boxes[chunk]
            areas = box_areas(objects).where(self._fits(priors, objects), math.inf)
            values, index = areas.min(dim=1)
            matched = torch.where(values < smallest, index + chunk.start, matched)
            smallest = smallest.minimum(values)
        return Assignment(matched)

    def _fits(self, priors, objects):
        centres = box_centres(priors.boxes)[:, None]
        sides = torch.cat([centres - objects[:, :2], objects[:, 2:] - centres], dim=-1)
        low, high = self._reach_limits(priors)
        reach = sides.amax(dim=-1)
        fits = (sides.amin(dim=-1) > 0) & (reach > low[:, None]) & (reach < high[:, None])
        if self.centre_radius is not None:
            offset = (centres - box_centres(objects)).abs().amax(dim=-1)
            fits &= offset < self.centre_radius * priors.stride[:, None]
        return fits

    def _reach_limits(self, priors):
        low = (priors.stride * self.smallest).masked_fill(priors.level == 0, 0.0)
        coarsest = priors.level == priors.level[-1]
        return (low, (priors.stride * self.largest).masked_fill(coarsest, math.inf))


class GridCellAssigner:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        best = torch.zeros_like(priors.stride)
        matched = torch.full_like(priors.level, BACKGROUND)
        close = torch.zeros_like(best, dtype=torch.bool)
        for chunk in row_chunks(len(target), len(matched)):
            objects = target.boxes[chunk]
            values, index = self._claims(priors, objects).max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
            close |= (pairwise_iou(priors.boxes, objects) >= self.ignored_iou).any(dim=1)
        if self.ignored_iou < 1:
            matched = matched.masked_fill(close & (matched < 0), IGNORED)
        return Assignment(matched)

    def _claims(self, priors, objects):
        is_in_cell = in_cell(cells_away(priors, objects)).all(dim=-1)
        fits = shape_iou(priors.boxes, objects) * is_in_cell
        least = 2.0 if self.shape_iou is None else self.shape_iou
        highest = torch.zeros_like(is_in_cell).scatter_(0, fits.argmax(dim=0, keepdim=True), True)
        return fits * (highest | (fits >= least))


class MaxIoUAssigner:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        best, matched, is_best = _best_objects(priors.boxes, target.boxes)
        assigned = matched.masked_fill(best < self.foreground, IGNORED)
        assigned = assigned.masked_fill(best < self.background, BACKGROUND)
        if self.low_quality:
            assigned = torch.where(is_best, matched, assigned)
        return Assignment(assigned.masked_fill(best < 0, BACKGROUND))


def _best_objects(priors, objects):
    best = priors.new_full((len(priors),), -1.0)
    matched = torch.zeros_like(best, dtype=torch.int64)
    is_best = torch.zeros_like(best, dtype=torch.bool)
    for chunk in row_chunks(len(objects), len(priors)):
        overlaps = pairwise_iou(objects[chunk], priors)
        highest = overlaps.amax(dim=1, keepdim=True)
        highest = highest.masked_fill(highest <= 0, math.inf)
        is_best |= (overlaps == highest).any(dim=0)
        values, index = overlaps.max(dim=0)
        matched = torch.where(values > best, index + chunk.start, matched)
        best = best.maximum(values)
    return (best, matched, is_best)


_LEAST = 1e-08

_FAR = 10000.0


class SizeRatioAssigner:
    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        matched = torch.full_like(priors.level, BACKGROUND)
        smallest = torch.full_like(priors.stride, math.inf)
        for chunk in row_chunks(len(target), len(matched)):
            objects = target.boxes[chunk]
            values, index = self._ratios(priors, objects).min(dim=1)
            matched = torch.where(values < smallest, index + chunk.start, matched)
            smallest = smallest.minimum(values)
        return Assignment(matched)

    def _ratios(self, priors, objects):
        factors = box_sides(objects) / box_sides(priors.boxes)[:, None]
        ratios = factors.maximum(1 / factors).amax(dim=-1)
        away = cells_away(priors, objects)
        inside, near = (in_cell(away), away.abs() < self.reach)
        in_reach = inside.all(dim=-1) | (inside & near.flip(-1)).any(dim=-1)
        return ratios.where(in_reach & (ratios < self.largest_ratio), math.inf)


class CircleAssigner:
    """One object at a time."""

    uses_predictions = False

    def __call__(self, priors, scores, boxes, target):
        centres = box_centres(priors.boxes)
        matched = torch.full_like(priors.level, BACKGROUND)
        smallest = torch.full_like(priors.stride, math.inf)
        near = torch.zeros_like(matched, dtype=torch.bool)
        for number, box in enumerate(target.boxes):
            across, down = (centres - box_centres(box)).abs().unbind(dim=1)
            width, height = box_sides(box)
            distance = torch.hypot(across, down)
            inside = (across <= width / 2) & (down <= height / 2)
            in_cell = (across <= priors.stride / 2) & (down <= priors.stride / 2)
            positive = in_cell | (inside & (distance <= self.radius * height))
            positive &= smallest > width * height
            matched[positive] = number
            smallest[positive] = width * height
            near |= distance <= self.radius * height + self.margin * priors.stride
        matched[near & (matched < 0)] = IGNORED
        return Assignment(matched)
