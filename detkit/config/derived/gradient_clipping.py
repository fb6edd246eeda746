"""The gradient clipping norm: by default that of the head's original implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit import registry

CLIPPING = "trainer.gradient_clip_norm"
_AUTO = "auto"


def head_clipping(model: Mapping[str, Any]) -> float | None:
    """The `gradient_clip_norm` that the class of a head or of its layers publishes, or None."""
    head = model.get("head")
    if not isinstance(head, Mapping) or "name" not in head:
        return None
    factories = [registry.get("head", head["name"])]
    if isinstance(layers := head.get("layers"), Mapping):
        factories.append(registry.get("layers", layers["name"]))
    norms = [getattr(factory, "gradient_clip_norm", None) for factory in factories]
    return next((float(norm) for norm in norms if norm is not None), None)


def fill_clipping(config: dict[str, Any]) -> None:
    """Replace `auto` in a checked configuration that trains, in place."""
    trainer = config.get("trainer")
    if isinstance(trainer, dict) and trainer.get("gradient_clip_norm") == _AUTO:
        trainer["gradient_clip_norm"] = head_clipping(config["model"])


def clipping_notes(config: Mapping[str, Any]) -> list[str]:
    """A line if a training clips at the norm that the head's authors use."""
    norm = config["trainer"]["gradient_clip_norm"]
    if norm is None or norm != head_clipping(config["model"]):
        return []
    head = config["model"]["head"]
    is_layers = "layers" in head
    part = f"head's layers '{head['layers']['name']}'" if is_layers else f"head '{head['name']}'"
    return [
        f"gradients are clipped at a norm of {norm:g}, as in the original implementation of the "
        f"{part} ({CLIPPING}=null does not clip)"
    ]
