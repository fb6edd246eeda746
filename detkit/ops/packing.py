"""Pack the candidates of many images and classes into one tensor to process them at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.ranking import ranked
from detkit.ops.rows import take_rows


class Packed(NamedTuple):
    """Candidates in G rows and n columns, best first; only boxes of the same row interact.

    Attributes:
        boxes: (G, n, 4).
        scores: (G, n), 0 in empty cells.
        groups: (G, n); boxes of one row but different groups do not interact.
        candidate: (G, n) index of the candidate among the B * K; B * K in empty cells.
    """

    boxes: Tensor
    scores: Tensor
    groups: Tensor
    candidate: Tensor

    def unpack(self, values: Tensor, like: Tensor) -> Tensor:
        """Values (G, n, ...) of the cells as (B, K, ...), for `like` (B, K); 0 elsewhere."""
        flat = values.new_zeros(like.numel() + 1, *values.shape[2:])
        flat = flat.index_copy(0, self.candidate.flatten(), values.flatten(0, 1))
        return flat[:-1].view(*like.shape, *values.shape[2:])


def pack_images(boxes: Tensor, scores: Tensor, groups: Tensor) -> Packed:
    """Put each image into a row, without waiting for the device.

    Args:
        boxes: (B, K, 4).
        scores: (B, K); boxes with a score of 0 do not exist.
        groups: (B, K) from 0.
    """
    scores, order = ranked(scores)
    first = torch.arange(order.shape[0], device=order.device)[:, None] * order.shape[1]
    return Packed(take_rows(boxes, order), scores, groups.gather(1, order), order + first)


def pack_groups(boxes: Tensor, scores: Tensor, groups: Tensor) -> Packed:
    """Put each group of an image into a row, or each image if large groups make that fewer pairs.

    Waits twice for the device, however many images there are.

    Args:
        boxes: (B, K, 4).
        scores: (B, K); boxes with a score of 0 do not exist.
        groups: (B, K) from 0.
    """
    images, count = scores.shape
    candidate = (scores.flatten() > 0).nonzero().squeeze(1)  # (M,)
    if len(candidate) == 0:
        return pack_images(boxes, scores, groups)
    image = torch.arange(images, device=scores.device)[:, None]
    key = (image * (groups.amax() + 1) + groups).flatten()[candidate]
    by_score = scores.flatten()[candidate].argsort(descending=True, stable=True)
    key, by_key = key[by_score].sort(stable=True)
    candidate = candidate[by_score[by_key]]
    _, row, sizes = torch.unique_consecutive(key, return_inverse=True, return_counts=True)
    longest = int(sizes.max())
    if len(sizes) * longest**2 >= images * count**2:
        return pack_images(boxes, scores, groups)
    starts = sizes.cumsum(dim=0) - sizes
    cell = row * longest + torch.arange(len(row), device=row.device) - starts[row]
    cells = candidate.new_full((len(sizes) * longest,), scores.numel())
    cells = cells.index_copy(0, cell, candidate).view(len(sizes), longest)

    def spread(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)
        return torch.cat([flat, flat.new_zeros(1, *flat.shape[1:])])[cells]

    return Packed(spread(boxes), spread(scores), spread(groups), cells)
