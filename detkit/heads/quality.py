"""What the quality branch of a dense head learns."""

from __future__ import annotations

from torch import Tensor

from detkit.ops import box_centres


def centreness(priors: Tensor, boxes: Tensor) -> Tensor:
    """How central the centre of each prior lies in its object: 1 in the middle, 0 on the border.

    The root of min(l, r) / max(l, r) * min(t, b) / max(t, b), equation 3 of FCOS (Tian et al.,
    2019); 0 where the centre lies outside, which the paper's assigner excludes and others do not.

    Args:
        priors: (M, 4).
        boxes: (M, 4) the box of the object of each prior.
    """
    centres = box_centres(priors)  # (M, 2)
    before, after = centres - boxes[:, :2], boxes[:, 2:] - centres
    nearer, farther = before.minimum(after), before.maximum(after)
    ratios = nearer.clamp(min=0) / farther.clamp(min=1e-6)  # (M, 2), a box may have no area
    return ratios.prod(dim=1).sqrt()
