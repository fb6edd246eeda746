"""Mean and standard deviation of the pixels: by default the values of the backbone's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit import registry

Statistics = tuple[list[float], list[float]]
# ImageNet's statistics of red, green and blue in 0..255; nearly all published weights expect them.
IMAGENET: Statistics = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
_KEYS = ("pixel_mean", "pixel_std")


def expected_pixels(backbone: Mapping[str, Any]) -> Statistics:
    """Mean and deviation, in 0..255, that a configured backbone expects.

    A backbone class may publish them in a static method `pixel_statistics`, which takes the
    constructor's arguments as a mapping; the default is ImageNet's. A backbone that wraps another
    one has the same statistics as the inner one.
    """
    inner = backbone.get("backbone")
    if isinstance(inner, Mapping):
        return expected_pixels(inner)
    publish = getattr(registry.get("backbone", backbone["name"]), "pixel_statistics", None)
    if publish is None:
        return IMAGENET
    mean, deviation = publish(backbone)
    return list(mean), list(deviation)


def fill_pixels(model: dict[str, Any]) -> None:
    """Replace a null `pixel_mean` or `pixel_std` of a checked detector, in place."""
    if not isinstance(model.get("backbone"), Mapping):
        return
    unset = [key for key in _KEYS if key in model and model[key] is None]
    if unset:
        values = dict(zip(_KEYS, expected_pixels(model["backbone"]), strict=True))
        model.update({key: values[key] for key in unset})


def pixels_text(model: Mapping[str, Any]) -> str:
    """Mean and deviation of a complete detector, and their origin."""
    values, expected = _values(model), expected_pixels(model["backbone"])
    if values == IMAGENET == expected:
        return f"{_text(values)}: ImageNet's"
    if values == expected:
        return f"{_text(values)}: expected by the backbone's published weights"
    return f"{_text(values)}: set in the configuration; the backbone expects {_text(expected)}"


def pixel_notes(model: Mapping[str, Any]) -> list[str]:
    """A line if mean and deviation come from the backbone and differ from ImageNet's."""
    if not isinstance(model.get("backbone"), Mapping) or not set(_KEYS) <= set(model):
        return []
    is_usual = _values(model) == IMAGENET or _values(model) != expected_pixels(model["backbone"])
    return [] if is_usual else [f"pixels have {pixels_text(model)}"]


def _values(model: Mapping[str, Any]) -> Statistics:
    mean, deviation = (list(map(float, model[key])) for key in _KEYS)
    return mean, deviation


def _text(statistics: Statistics) -> str:
    mean, deviation = (", ".join(f"{value:g}" for value in values) for values in statistics)
    return f"mean {mean}, deviation {deviation}"
