"""The root key `image_size`, which sets the sizes of all transforms of an augmentation page.

Images are resized to fit into `image_size`, whether they are larger or smaller. A transform with
`short_side` and `long_side` takes the shorter and the longer side; one with `height` and `width`
takes both, scaled by the ratio between its own size and its page's image size, so that the canvas
of `mosaic` stays twice as large. Priors with an `image_size` follow too. A value typed for a
transform itself takes precedence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detkit.config.argument_lookup import leaves
from detkit.config.overrides import parse
from detkit.errors import ConfigError

Node = dict[str, Any]
Size = tuple[int, int]
KEY = "image_size"
_SPLITS = ("train", "evaluation")
_TYPED = re.compile(r"\+{0,2}(image_size|augmentation)=")


def follow_image_size(config: Node, words: Sequence[str], stored: Any = None) -> None:
    """Adapt the transforms and priors of a complete configuration to its `image_size`.

    Args:
        config: Checked and complete; changed in place.
        words: The command line's words, whose values for a transform take precedence.
        stored: The checkpoint's `image_size`, which its augmentation already follows.

    Raises:
        ConfigError: Nothing in the augmentation resizes, or the model takes one size only.
    """
    value = config.get(KEY)
    applied = value == stored and not any(map(_TYPED.match, words))
    if value is None or applied or "augmentation" not in config:
        return
    size = as_size(value)
    splits = [split for split in _SPLITS if split == "evaluation" or "trainer" in config]
    problems = list(_problems(config, size, splits))
    if problems:
        raise ConfigError(problems)
    typed = {path for word in words for path in _typed_paths(word)}
    _follow_augmentation(config["augmentation"], size, typed)
    for path, node in _sized_parts(config.get("model"), "model"):
        if f"{path}.{KEY}" not in typed:
            node[KEY] = list(size)


def as_size(value: Any) -> Size:
    """Height and width; one number is a square."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def anchor_note(config: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """A line if `image_size` is set but anchors in pixels do not follow it."""
    head = config.get("model", {}).get("head") or {}
    priors = head.get("priors") if isinstance(head, Mapping) else None
    typed = any(".priors.sizes=" in word for word in words)
    if config.get(KEY) is None or typed or (priors or {}).get("name") != "anchor_sizes":
        return []
    return [
        "model.head.priors.sizes: image_size does not change anchors in pixels; `detkit data "
        "anchors` fits them to your boxes at a given size"
    ]


def _problems(config: Node, size: Size, splits: Sequence[str]) -> Iterator[str]:
    setting = f"{KEY}={_text(size)}"
    for split in splits:
        if not any(_sides(step) for step in config["augmentation"][split].values()):
            yield (
                f"{setting}: nothing in augmentation.{split} resizes images, so it has no "
                f"effect: add augmentation.{split}.resize.name=resize, or remove image_size."
            )
    for path, node in _sized_parts(config.get("model"), "model"):
        if node.get("steps") is not None and tuple(node[KEY]) != size:
            yield (
                f"{setting}: {path}.steps fits only images of {_text(tuple(node[KEY]))}, as in "
                "SSD300 and SSD512: remove image_size, or choose another model; SSDlite and all "
                "detectors without fixed steps take any size."
            )


def _follow_augmentation(augmentation: Node, size: Size, typed: set[str]) -> None:
    fixed = {
        (split, label): step
        for split in _SPLITS
        for label, step in augmentation[split].items()
        if _sides(step) == ("height", "width")
        and not {f"augmentation.{split}.{label}.{key}" for key in ("height", "width")} & typed
    }
    base = next(
        ((s["height"], s["width"]) for (split, _), s in fixed.items() if split == "evaluation"),
        None,
    ) or next(((s["height"], s["width"]) for s in reversed(fixed.values())), size)
    for split in _SPLITS:
        for label, step in augmentation[split].items():
            for key, value in _followed(step, size, base).items():
                if f"augmentation.{split}.{label}.{key}" not in typed:
                    step[key] = value


def _followed(step: Node | None, size: Size, base: Size) -> Node:
    """The arguments of a transform at an image size; empty if it has no size."""
    sides = _sides(step)
    if step is None or not sides:
        return {}
    if sides == ("height", "width"):
        scaled = zip(sides, size, base, strict=True)
        return {key: round(new * step[key] / old) for key, new, old in scaled}
    larger = {"enlarge": True} if "enlarge" in step else {}
    return {"short_side": min(size), "long_side": max(size), **larger}


def _typed_paths(word: str) -> list[str]:
    """The config paths that a word sets; several if its value is a mapping."""
    key, _, text = word.lstrip("+").partition("=")
    if not text.startswith("{"):
        return [key]
    return [path for path, _ in leaves(parse(word).value(), key)]


def _sides(step: Any) -> tuple[str, ...]:
    """The arguments that hold a transform's size in pixels."""
    for keys in (("height", "width"), ("short_side", "long_side")):
        if isinstance(step, Mapping) and all(key in step for key in keys):
            return keys if isinstance(step[keys[0]], int) else ()
    return ()


def _sized_parts(node: Any, path: str) -> Iterator[tuple[str, Node]]:
    """(config path, mapping) of every part of a model that has an `image_size`."""
    if isinstance(node, dict):
        if KEY in node:
            yield path, node
        for key, inner in node.items():
            yield from _sized_parts(inner, f"{path}.{key}")


def _text(size: Sequence[int]) -> str:
    height, width = size
    return f"{height}" if height == width else f"[{height},{width}]"
