"""The class of each logit of a classification layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detkit.errors import UserError
from detkit.text import counted

_UNUSED = ("", "n/a", "__background__")  # torchvision's names for gaps in COCO's numbers
# COCO numbers its 80 categories 1 to 90; torchvision's networks have a logit for each, and for 0.
COCO_LOGITS = 91


@dataclass(frozen=True)
class ClassList:
    """Class names from the user.

    Attributes:
        names: In order; gaps are None.
        ids: Their category ids, if the source numbers them.
    """

    names: list[str | None]
    ids: list[int] | None = None


@dataclass(frozen=True)
class Slots:
    """The logits of one prior, in order.

    Attributes:
        names: The class of each logit; None for an unused logit.
        ids: The category id of each logit.
    """

    names: list[str | None]
    ids: list[int]

    def used(self) -> tuple[list[str], list[int]]:
        """Names and category ids of the used logits."""
        pairs = [(n, i) for n, i in zip(self.names, self.ids, strict=True) if n is not None]
        return [name for name, _ in pairs], [number for _, number in pairs]

    def without_first(self) -> Slots:
        """The logits after the first."""
        return Slots(self.names[1:], self.ids[1:])


def coco_slots() -> Slots:
    """The logits of a detector that torchvision trained on COCO."""
    from torchvision.models.detection import RetinaNet_ResNet50_FPN_Weights  # takes over a second

    names = RetinaNet_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return Slots([_name(name) for name in names], list(range(COCO_LOGITS)))


def coco_slots_without_gaps() -> Slots:
    """The 80 logits of a detector trained on COCO by libraries that skip the unused numbers."""
    return Slots(*coco_slots().used())  # type: ignore[arg-type]  # all names are present


def place_in_slots(classes: ClassList, count: int, key: str) -> Slots:
    """Assign class names to the `count` logits of a layer.

    Args:
        classes: The names.
        count: Logits for one prior, C or C + 1.
        key: The key that holds the names, for messages.

    Raises:
        UserError: There are more or fewer names than logits.
    """
    names, ids = classes.names, classes.ids
    if ids is not None and len(names) < count == max(ids) + 1:  # a logit for each number
        by_id = dict(zip(ids, names, strict=True))
        return Slots([by_id.get(number) for number in range(count)], list(range(count)))
    first = 0 if names[0] is None else 1  # background, or the first class
    numbers = ids or list(range(first, first + len(names)))
    if len(names) == count:
        return Slots(names, numbers)
    if len(names) + 1 == count:  # torchvision counts the background as class 0
        return Slots([None, *names], [0, *numbers])
    raise UserError(
        f"{key}: gives {counted(len(names), 'name')}, and the file's detector has "
        f"{counted(count, 'class')}: give {counted(count, 'name')} in the order of its labels "
        f"('N/A' for unused ones), or {count - 1} if label 0 is the background."
    )


def read_class_list(value: str | Sequence[str], key: str) -> ClassList:
    """Read class names from a list or a file: one per line, JSON, COCO JSON or YOLO YAML.

    Raises:
        UserError: There is no such file, or it holds no names.
    """
    if not isinstance(value, str):
        return _checked(ClassList([_name(name) for name in value]), key, "the list")
    path = Path(value)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{key}={value}: cannot be read as a file of names; give a text file with one name a "
            f"line, a COCO JSON, a YOLO YAML, or the names themselves: {key}=[cat,dog]."
        ) from error
    try:
        content = _content(path, text)
        return _checked(_class_list(content), key, value)
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise UserError(
            f"{key}={value}: holds no class names: expected a name a line, a JSON list, a COCO "
            "JSON with 'categories', or a YOLO YAML with 'names'."
        ) from error


def _content(path: Path, text: str) -> Any:
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix in (".yaml", ".yml"):
        return yaml.load(text, Loader=yaml.BaseLoader)["names"]  # names are text: on, 01
    return text.splitlines()


def _class_list(content: Any) -> ClassList:
    if isinstance(content, dict) and "categories" in content:
        ordered = sorted(content["categories"], key=lambda category: int(category["id"]))
        return ClassList([_name(c["name"]) for c in ordered], [int(c["id"]) for c in ordered])
    if isinstance(content, dict):  # YOLO: label to name
        return ClassList([_name(content[label]) for label in sorted(content, key=int)])
    if not isinstance(content, list):
        raise TypeError("neither a list nor a mapping")
    return ClassList([_name(name) for name in content])


def _checked(classes: ClassList, key: str, where: str) -> ClassList:
    used = [name for name in classes.names if name is not None]
    twice = sorted({name for name in used if used.count(name) > 1})
    if not used:
        raise UserError(f"{key}: {where} holds no class name.")
    if twice:
        raise UserError(f"{key}: {where} holds '{twice[0]}' twice: class names must be unique.")
    return classes


def _name(name: Any) -> str | None:
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no name")
    return None if name.strip().casefold() in _UNUSED else name.strip()
