"""Mean and standard deviation of the pixels: by default the values of the backbone's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit import registry
from detkit.errors import ConfigError
from detkit.text import counted

Statistics = tuple[list[float], list[float]]
# ImageNet's statistics of red, green and blue in 0..255; nearly all published weights expect them.
IMAGENET: Statistics = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
_KEYS = ("pixel_mean", "pixel_std")
COLOURS = 3  # channels of ordinary images


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


def fill_pixels(model: dict[str, Any], channels: int | None = None) -> None:
    """Replace a null `pixel_mean` or `pixel_std` of a checked detector, in place.

    Args:
        model: The detector.
        channels: `data.channels`; None takes the length of what is set, and 3 if nothing is.

    Raises:
        ConfigError: A statistic that is set has another number of values.
    """
    if not isinstance(model.get("backbone"), Mapping):
        return
    counts = {key: len(model[key]) for key in _KEYS if model.get(key) is not None}
    channels = channels or next(iter(counts.values()), COLOURS)
    for key, count in counts.items():
        if count != channels:
            raise ConfigError([_other_count(key, count, channels)])
    unset = [key for key in _KEYS if key in model and model[key] is None]
    if unset:
        statistics = expected_pixels(model["backbone"])
        values = {k: widen(v, channels) for k, v in zip(_KEYS, statistics, strict=True)}
        model.update({key: values[key] for key in unset})


def widen(colours: list[float], channels: int) -> list[float]:
    """Statistics of red, green and blue for any number of channels.

    With more than three channels, the others take the mean of the three; with one or two, all do.
    `detkit.ops.input_channels.widen_values` does the same with tensors.
    """
    if channels == COLOURS:
        return colours
    mean = sum(colours) / len(colours)
    return [*(colours if channels > COLOURS else []), *[mean] * channels][:channels]


def _other_count(key: str, count: int, channels: int) -> str:
    return (
        f"model.{key}: has {counted(count, 'value')}, and images have "
        f"{counted(channels, 'channel')} (data.channels): set data.channels={count}, give "
        f"{counted(channels, 'value')}, or set model.pixel_mean and model.pixel_std to null."
    )


def pixels_text(model: Mapping[str, Any]) -> str:
    """Mean and deviation of a complete detector, and their origin."""
    values, expected = _values(model), _expected(model)
    if expected != expected_pixels(model["backbone"]) and values == expected:
        return f"{_text(values)}: made from those of red, green and blue for these channels"
    if values == IMAGENET == expected:
        return f"{_text(values)}: ImageNet's"
    if values == expected:
        return f"{_text(values)}: expected by the backbone's published weights"
    return f"{_text(values)}: set in the configuration; the backbone expects {_text(expected)}"


def pixel_notes(model: Mapping[str, Any]) -> list[str]:
    """A line if mean and deviation come from the backbone and differ from ImageNet's."""
    if not isinstance(model.get("backbone"), Mapping) or not set(_KEYS) <= set(model):
        return []
    is_usual = _values(model) == IMAGENET or _values(model) != _expected(model)
    return [] if is_usual else [f"pixels have {pixels_text(model)}"]


def _expected(model: Mapping[str, Any]) -> Statistics:
    """What the backbone expects, for the model's number of channels."""
    mean, deviation = expected_pixels(model["backbone"])
    channels = len(model["pixel_mean"])
    return widen(mean, channels), widen(deviation, channels)


def _values(model: Mapping[str, Any]) -> Statistics:
    mean, deviation = (list(map(float, model[key])) for key in _KEYS)
    return mean, deviation


def _text(statistics: Statistics) -> str:
    mean, deviation = (", ".join(f"{value:g}" for value in values) for values in statistics)
    return f"mean {mean}, deviation {deviation}"
