"""Direct transcriptions of the papers' recurrences, box by box and in float64."""

import math

import torch


def overlap(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (sum(areas) - common) if common else 0.0


def distance(first, second):
    """Squared distance of centres over the squared diagonal around both boxes."""
    centres = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (first, second)]
    width = max(first[2], second[2]) - min(first[0], second[0])
    height = max(first[3], second[3]) - min(first[1], second[1])
    diagonal = width**2 + height**2
    between = (centres[0][0] - centres[1][0]) ** 2 + (centres[0][1] - centres[1][1]) ** 2
    return between / diagonal if diagonal else 0.0


def in_turn(boxes, scores, labels, remaining_share, minimum):
    """(place, score): take the best, lower the others of its class, until none is left."""
    left, found = dict(enumerate(scores)), []
    while left:
        best = max(left, key=lambda place: left[place])
        found.append((best, left.pop(best)))
        for place in left:
            if labels[place] == labels[best]:
                left[place] *= remaining_share(boxes[best], boxes[place])
        left = {place: score for place, score in left.items() if score > minimum}
    return [(place, score) for place, score in found if score > minimum]


def linear(threshold):
    return lambda a, b: 1 - overlap(a, b) if overlap(a, b) >= threshold else 1.0


def gaussian(sigma):
    return lambda a, b: math.exp(-(overlap(a, b) ** 2) / sigma)


def greedy(threshold, beta):
    """DIoU-NMS; the plain one without the distance."""
    measure = lambda a, b: overlap(a, b) - (distance(a, b) ** beta if beta else 0)  # noqa: E731
    return lambda a, b: float(measure(a, b) <= threshold)


def matrix(boxes, scores, labels, decay):
    """Scores after matrix NMS; `decay` is f of an IoU."""
    order = sorted(range(len(boxes)), key=lambda place: -scores[place])
    found = list(scores)
    better = {
        j: [i for i in order[:rank] if labels[i] == labels[j]] for rank, j in enumerate(order)
    }
    largest = {i: max((overlap(boxes[k], boxes[i]) for k in better[i]), default=0.0) for i in order}
    for j in order:
        ratios = [
            decay(overlap(boxes[i], boxes[j])) / max(decay(largest[i]), 1e-7) for i in better[j]
        ]
        found[j] *= min(ratios, default=1.0)
    return found


def fusion(boxes, scores, labels, threshold):
    """(members, mean box) of each cluster, in the order of their first members."""
    clusters = []
    for place in sorted(range(len(boxes)), key=lambda place: -scores[place]):
        fitting = [c for c in clusters if labels[c["members"][0]] == labels[place]]
        best = max(fitting, key=lambda c: overlap(c["box"], boxes[place]), default=None)
        if best is None or overlap(best["box"], boxes[place]) <= threshold:
            best = {"members": []}
            clusters.append(best)
        best["members"].append(place)
        total = sum(scores[member] for member in best["members"])
        best["box"] = [
            sum(scores[member] * boxes[member][side] for member in best["members"]) / total
            for side in range(4)
        ]
    return [(cluster["members"], cluster["box"]) for cluster in clusters]


def random_candidates(count, seed, dtype=torch.float64):
    """Boxes that overlap a lot, of three classes."""
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(2, count, 2, generator=generator, dtype=dtype)
    boxes = torch.cat([corner * 40, corner * 40 + 5 + sides * 30], dim=1)
    scores = torch.rand(count, generator=generator, dtype=dtype) * 0.9 + 0.06
    return boxes, scores, torch.randint(3, (count,), generator=generator)
