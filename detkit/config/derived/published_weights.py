"""`weights=imagenet` and `weights=coco` in a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from detkit import registry
from detkit.config.signatures import arguments
from detkit.errors import ConfigError

_IMAGENET, _COCO = "imagenet", "coco"
_VALUES: dict[str, Any] = {"weights": _IMAGENET, "pretrained": True}  # by argument of a backbone


def resolve_weights(config: dict[str, Any], page: str | None) -> None:
    """Replace the names of published weights in a checked configuration of a training, in place.

    `imagenet` moves to the argument of the backbone that loads them. `coco` gets the page of the
    model, which determines the file: `coco:torchvision_fcos`.

    Args:
        config: The configuration.
        page: The page of the model.

    Raises:
        ConfigError: The backbone has no published weights, or loads other ones.
    """
    if config["weights"] == _COCO:
        config["weights"] = f"{_COCO}:{page or ''}"
    if config["weights"] != _IMAGENET:
        return
    backbone = _innermost(config["model"].get("backbone"))
    key = next((key for key in _VALUES if key in backbone), None)
    if key is None:
        names = ", ".join(_with_weights())
        raise ConfigError(
            [
                f"weights=imagenet: backbone '{backbone.get('name')}' has no published weights; "
                f"these have some: {names}. weights=FILE starts from a file."
            ]
        )
    if backbone.get("checkpoint") is not None or backbone[key] not in (None, False, _VALUES[key]):
        raise ConfigError(
            [
                "weights=imagenet: the backbone loads a file already "
                f"({backbone.get('checkpoint') or backbone[key]}): leave out one of them."
            ]
        )
    backbone[key] = _VALUES[key]
    config["weights"] = None


def _innermost(backbone: Any) -> dict[str, Any]:
    """A backbone without the ones that wrap it."""
    node: dict[str, Any] = backbone if isinstance(backbone, dict) else {}
    inner = node.get("backbone")
    return _innermost(inner) if isinstance(inner, Mapping) else node


def _with_weights() -> Iterable[str]:
    for name in registry.names("backbone"):
        if _VALUES.keys() & arguments(registry.get("backbone", name)).keys():
            yield name
