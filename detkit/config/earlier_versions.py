"""Keys of heads in configurations that earlier versions of detkit saved, and their current paths.

`detkit.runs.older_config` translates what it reads from run folders, checkpoints and bundles. A
page or an override with an old key is refused, and the message names the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit import registry
from detkit.config.pages import filled
from detkit.config.signatures import arguments

# Until November 2026 each head was a class whose constructor held the settings of its layers.
_HEADS = ("atss", "fcos", "retinanet", "ssd", "ssdlite", "yolo_free", "yolov3", "yolov4", "yolov5")
_OF_LAYERS = (
    "activation",
    "channels",
    "convs",
    "level_scales",
    "norm",
    "objects",
    "prior_probability",
)
_MOVED = {
    **{key: ("layers", key) for key in _OF_LAYERS},
    "score_exponent": ("quality_target", "score_exponent"),
    "weigh_boxes_by_quality": ("quality_target", "weighs_boxes"),
}


def with_head_parts(config: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration whose heads name their parts; a current one stays as it is."""
    model = config.get("model")
    if not isinstance(model, Mapping):
        return dict(config)
    parts = dict(model)
    for family in ("head", "proposer"):
        node = parts.get(family)
        if isinstance(node, Mapping) and _is_old(node):
            parts[family] = filled(family, _with_moved_keys(node))
    return {**config, "model": parts}


def new_path(path: tuple[str, ...], config: Mapping[str, Any]) -> str | None:
    """The config path that an old one has moved to, or None.

    Args:
        path: An unknown config path.
        config: The configuration; the part at the new path must take such an argument.
    """
    *outer, key = path
    if tuple(outer) not in (("model", "head"), ("model", "proposer")) or key not in _MOVED:
        return None
    family, new_key = _MOVED[key]
    node: Any = config
    for step in (*outer, family):
        node = node.get(step) if isinstance(node, Mapping) else None
    name = node.get("name") if isinstance(node, Mapping) else None
    if name not in registry.names(family) or new_key not in arguments(registry.get(family, name)):
        return None
    return ".".join((*outer, family, new_key))


def _is_old(node: Mapping[str, Any]) -> bool:
    return node.get("name") in _HEADS or (node.get("name") == "rpn" and "layers" not in node)


def _with_moved_keys(node: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in node.items() if key not in _MOVED}
    if node["name"] == "rpn":
        result["layers"] = {"name": "rpn"}
    for key in node.keys() & _MOVED.keys():
        slot, new_key = _MOVED[key]
        inner = result.get(slot, {})
        result[slot] = {
            **({"name": inner} if isinstance(inner, str) else inner),
            new_key: node[key],
        }
    return result
