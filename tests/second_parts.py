"""Heads with a second step or branch: what one of its parts asks of the other."""

from __future__ import annotations

from typing import Any

LAYERS_WITHOUT_SECOND_PRIORS = ("fsaf_anchors", "layers", "decoupled")
_CLASS_LOSSES = ("classification_loss", "free_classification_loss")
_BOX_CODERS = ("box_coder", "free_box_coder")


def with_second_parts(head: str, parts: dict[str, Any]) -> dict[str, Any]:
    """Parts for slots of a head, by slot, with those that have to be changed together.

    Both steps of `refinedet` have one box coder. Both branches of `fsaf_anchors` have one number of
    values per code and of logits.
    """
    has_distributions = any((parts.get(s) or {}).get("name") == "distribution" for s in _BOX_CODERS)
    giou = {"name": "giou"}
    if head == "refinedet" and has_distributions:
        return {**parts, "box_loss": giou, "refinement_box_loss": giou}
    if head != "fsaf_anchors":
        return parts
    if has_distributions:
        coders = {key: {"name": "distribution"} for key in _BOX_CODERS}
        parts = {"box_loss": giou, "free_box_loss": giou, **parts, **coders}
    losses = [parts[slot] for slot in reversed(_CLASS_LOSSES) if slot in parts]
    return {**parts, **(dict.fromkeys(_CLASS_LOSSES, losses[0]) if losses else {})}
