"""SSD's assignment: an IoU threshold, plus the best prior for each object."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.assigners.claims import Claims, unmatched, winners
from detkit.ops.boxes import pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.ops.ordered_topk import ordered_topk
from detkit.registry import Fraction, register
from detkit.structures import BACKGROUND, Assignment, PaddedTargets, Priors

# Rounds after which images with very many objects ask the device whether all have a prior.
_CHECKS = frozenset(2**power for power in range(6, 32))


@register("assigner", "best_prior")
class BestPriorAssigner:
    """Each object takes its best prior at any IoU, and every prior above an IoU threshold.

    If two objects share a best prior, it goes to the object with the higher IoU (the first of two
    equal ones), and the other object takes its best free prior. torchvision gives it to the last
    object and leaves the other unassigned. An object that overlaps no prior stays unassigned.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 2.2,
        https://arxiv.org/abs/1512.02325

    Args:
        foreground: Priors with at least this IoU are positive too; all others are background.
    """

    uses_predictions = False

    def __init__(self, *, foreground: Fraction = 0.5) -> None:
        self.foreground = foreground

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by IoU."""
        objects = targets.distant_padding()  # (B, N, 4), whose padding overlaps no prior
        best = unmatched(priors.boxes, targets, 0.0)
        matched = torch.full_like(best, BACKGROUND, dtype=torch.int64)
        # An object whose better priors are all taken, by at most N - 1 others, finds a free one
        # among its N best.
        most = min(objects.shape[1], best.shape[1])
        candidates = []
        for chunk in row_chunks(objects.shape[1], best.numel()):
            overlaps = pairwise_iou(objects[:, chunk], priors.boxes)  # (B, n, P)
            values, index = overlaps.max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
            candidates.append(ordered_topk(overlaps, most))
        matched = matched.masked_fill(best < self.foreground, BACKGROUND)
        values, index = (torch.cat(parts, dim=1) for parts in zip(*candidates, strict=True))
        # In a graph, a loop over rounds would have to be of one length.
        in_graph = torch.compiler.is_compiling()
        owners = (_owners_in_graph if in_graph else _owners)(index, values, best.shape[1])
        return Assignment(torch.where(owners >= 0, owners, matched))


def _owners(candidates: Tensor, overlaps: Tensor, priors: int) -> Tensor:
    """(B, priors) the object that has a prior as its best, or BACKGROUND.

    All objects claim their best free prior at once, those that lose one claim the next best in the
    next round. Each round satisfies an object, so N rounds do. Their number is fixed, since asking
    whether all objects have a prior would wait for the device.

    Args:
        candidates: (B, N, K) the best priors of each object, best first.
        overlaps: (B, N, K) their IoUs.
        priors: Number of priors.
    """
    count = candidates.shape[1]
    owners = candidates.new_full((len(candidates), priors), BACKGROUND)
    waiting = torch.ones_like(candidates[:, :, 0], dtype=torch.bool)  # (B, N)
    for done in range(count):
        if done in _CHECKS and not waiting.any():
            break
        taken = owners.gather(1, candidates.flatten(1)).view_as(candidates) >= 0
        free = ~taken & (overlaps > 0)  # (B, N, K)
        first = free.byte().argmax(dim=2, keepdim=True)  # the first of equals
        waiting = waiting & free.any(dim=2)
        claims = Claims(candidates.gather(2, first), overlaps.gather(2, first), waiting[..., None])
        new_owners, won = winners(claims, priors)
        owners = owners.maximum(new_owners)
        waiting = waiting & ~won[..., 0]
    return owners


@torch.library.custom_op("detkit::owners_of_priors", mutates_args=())
def _owners_in_graph(candidates: Tensor, overlaps: Tensor, priors: int) -> Tensor:
    return _owners(candidates, overlaps, priors)


@_owners_in_graph.register_fake
def _shape_of_owners(candidates: Tensor, overlaps: Tensor, priors: int) -> Tensor:
    return candidates.new_empty((candidates.shape[0], priors))
