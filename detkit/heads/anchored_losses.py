"""Box losses that also learn from priors without an object, and weigh objects by their size."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from torch import Tensor

from detkit.heads.matches import Matches
from detkit.interfaces import BoxLoss, PriorGenerator
from detkit.ops import box_areas
from detkit.structures import Priors


@runtime_checkable
class AnchoredBoxLoss(BoxLoss, Protocol):
    """A box loss with a weight for each object, and a loss of the priors without an object.

    `size_weights` get the objects' shares (M,) of the image's area. `unmatched` gets all box codes
    (B, P, D), and `positive` (B, P) is true for the priors with an object.
    """

    def size_weights(self, area_shares: Tensor) -> Tensor:
        """(M,) weights of the box losses of these objects."""
        ...

    def unmatched(self, codes: Tensor, positive: Tensor) -> Tensor:
        """(B, P) losses, 0 where `positive`."""
        ...


def size_weights(
    loss: BoxLoss, matches: Matches, priors: Priors, generator: PriorGenerator
) -> Tensor:
    """(M,) weights of the box losses of matches; the image's area is the sum of its cells."""
    image_area = priors.of_image(0).stride.square().sum() / sum(generator.per_cell)
    area_shares = box_areas(matches.boxes) / image_area
    return matches.weights * cast(AnchoredBoxLoss, loss).size_weights(area_shares)


def unmatched_losses(loss: BoxLoss, codes: Tensor, positive: Tensor) -> Tensor:
    """(B, P) weighted losses of the priors without an object, 0 at all others."""
    return loss.weight * cast(AnchoredBoxLoss, loss).unmatched(codes, positive)
