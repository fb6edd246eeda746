"""Combinations of parts that a dense head cannot work with."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.errors import UserError
from detkit.interfaces import (
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    DistributionCoder,
    QualityTarget,
    Sizes,
)
from detkit.structures import FeatureSpec


def require_quality_pair(target: QualityTarget | None, loss: ClassificationLoss | None) -> None:
    """Raise UserError for a quality target without a loss, or a loss without a target."""
    if (target is None) != (loss is None):
        present, absent = ("quality_target", "quality_loss")[:: 1 if loss is None else -1]
        raise UserError(
            f"a head with a {present} needs a {absent}: choose one, or set {present} to null."
        )


def require_distributions(loss: BoxLoss | None, box_coder: BoxCoder) -> None:
    """Raise UserError for a loss of distributions with a box coder that predicts none."""
    if loss is not None and not isinstance(box_coder, DistributionCoder):
        raise UserError(
            "distribution_loss needs distributions, which this box_coder does not predict: choose "
            "box_coder 'distribution', or set distribution_loss to null."
        )


def prior_mismatch(predicted: int, priors: int, sizes: Sizes) -> ValueError:
    """The error for layers whose number of predictions differs from the number of priors."""
    return ValueError(
        f"the head's layers predict for {predicted} priors, but there are {priors} priors for "
        f"feature maps {sizes}: layers must use `per_cell` of the priors."
    )


def require_same_levels(before: Sequence[FeatureSpec], after: Sequence[FeatureSpec]) -> None:
    """Raise UserError unless a neck inside a head keeps the levels, whose priors are built."""
    strides, new = ([spec.stride for spec in specs] for specs in (before, after))
    if strides != new:
        raise UserError(
            f"transfer_neck must keep the levels of strides {strides}, since both steps predict at "
            f"the same anchors, got strides {new}: choose one that does, such as "
            "transfer_connection."
        )
