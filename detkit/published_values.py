"""The values that a built part publishes for the parts after it, such as channels and strides."""

from __future__ import annotations

from collections.abc import Mapping
from operator import add
from typing import Any

from detkit.heads.compatibility import require_same_levels


def published_values(
    family: str, part: Any, slot: str = "", wiring: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The wired values that a part in a slot adds or replaces.

    Args:
        family: The part's family.
        part: The part.
        slot: The name of the slot; empty for a labelled part.
        wiring: The values that the part was built with.

    Raises:
        UserError: The part does not fit those values.
    """
    wiring = wiring or {}
    if slot == "transfer_neck":
        require_same_levels(wiring["feature_specs"], part.feature_specs)
    if family in ("backbone", "neck"):
        return {"feature_specs": part.feature_specs}
    if family == "pooling":
        return {"region_shape": part.region_shape}
    if family == "priors":
        is_second_kind = slot == "free_priors"  # in each cell, after the first
        counts = map(add, wiring["per_cell"], part.per_cell) if is_second_kind else part.per_cell
        return {"priors": part, "per_cell": list(counts)}
    if family == "box_coder":
        return {"box_coder": part, "code_size": part.code_size}
    if slot in ("classification_loss", "refinement_classification_loss"):
        return {"class_activation": part.activation}
    return {"with_quality": True} if family == "quality_target" else {}
