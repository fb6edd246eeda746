"""Box codes that come with their variances, and post-processors that use these."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from detkit.structures import PaddedDetections

# Log variances beyond this, either way, are clamped, so that an untrained head cannot overflow exp.
LARGEST_LOG_VARIANCE = 10.0


@runtime_checkable
class VarianceCoder(Protocol):
    """A box coder with 8 values per code: 4 for the box, then their log variances."""

    def variances(self, codes: Tensor) -> Tensor:
        """Codes (..., 8) to the variances (..., 4) of x1, y1, x2 and y2."""
        ...


@runtime_checkable
class VotingPostprocess(Protocol):
    """A post-processor that weighs the sides of boxes by their variances."""

    def vote(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, variances: Tensor
    ) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) and variances (B, K, 4) to detections."""
        ...
