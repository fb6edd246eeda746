"""`detkit describe`: show a part's arguments, slots and paper."""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from detkit import registry
from detkit.config.docstrings import body_of, first_line, paper_of
from detkit.config.page_list import opening_comment
from detkit.config.part_pages import all_names, find_part, part_node
from detkit.config.signatures import MISSING, Argument, arguments
from detkit.errors import UserError, did_you_mean
from detkit.files import display_path

HELP = """
usage: detkit describe [FAMILY] NAME, or FAMILY/NAME
       detkit describe model=PAGE|ckpt=RUN|NAME [KEY=VALUE ...]

Shows what a part is for, its paper and file, and each argument: type, default, meaning.
A slot takes another part; detkit fills in wired arguments, which never appear in YAML.

  detkit describe retinanet
  detkit describe loss focal

With KEY=VALUE it shows a network layer by layer: output sizes, parameters, operations (a
multiplication and an addition are two), connections (pairs of values that a weight connects), and
the theoretical receptive field in pixels ("4096+": it fills an image of that size). It takes the
overrides of `detkit train`; NAME is a detector page or a backbone. It reads no data and allocates
no weights.

  detkit describe model=fcos model/backbone=vgg16 depth=3
  detkit describe resnet18 depth=0 image_size=224 output=resnet18.csv
  detkit describe ckpt=RUN fields=FOLDER

depth=2            levels of modules to show; 0 shows all
image_size=N       image size, as in a training; else the one that layers or priors need, else 640
num_classes=80     number of classes to assume; a checkpoint has its own
output=FILE        also write the layers to FILE.csv or FILE.json
fields=FOLDER      also draw the effective receptive field of each level: how much each pixel moves
                   the unit in the middle (gradients on noise; of random weights without ckpt=RUN)
"""


def run(words: list[str]) -> None:
    """Print the description of a part, or the candidates if several families have the name.

    Raises:
        UserError: There is no such part.
    """
    if any("=" in word for word in words):
        importlib.import_module("detkit.cli.describe_network").run(words)
        return
    if len(words) == 1:
        words = words[0].split("/")
    *family, name = words or [""]
    if not name or family[1:] or any(word.startswith("-") for word in words):
        raise UserError(f"'detkit describe' takes [FAMILY] NAME, got '{' '.join(words)}'.")
    registry.load_plugins()
    families = family or families_with(name)
    if len(families) > 1:
        print(f"Several families have a part '{name}':")
        print("\n".join(f"  detkit describe {family} {name}" for family in families))
        return
    print(page(families[0], name))


def families_with(name: str) -> list[str]:
    """The families with a part of this name.

    Raises:
        UserError: There is none.
    """
    matches = [family for family in registry.FAMILIES if name in all_names(family)]
    if matches:
        return matches
    if name in registry.FAMILIES:
        known_names = ", ".join(all_names(name)) or "none"
        raise UserError(f"'{name}' is a family: add the name of one of its parts ({known_names}).")
    every = sorted({part for family in registry.FAMILIES for part in all_names(family)})
    raise UserError(
        f"no family has a part '{name}'.{did_you_mean(name, [*every, *registry.FAMILIES])}"
        f" `detkit list` shows all parts.{registry.failed_plugins()}"
    )


def page(family: str, name: str) -> str:
    """The description of a part."""
    part = find_part(family, name)
    node = part_node(family, {"name": name})
    factory = registry.get(family, node["name"])
    is_page = node["name"] != name
    text = opening_comment(part.file) if is_page else inspect.getdoc(factory)
    paragraphs, papers = body_of(text), paper_of(text)
    lines = [f"{family} '{name}'", *_wrapped(first_line(text))]
    for paragraph in paragraphs:
        lines += ["", *_wrapped(paragraph)]
    lines += [""] if paragraphs else []
    lines += _wrapped(f"Paper: {papers}") if papers else []
    lines.append(f"  File: {display_path(part.file)} ({part.origin})")
    if is_page:
        lines.append(f"  Built as: {family} '{node['name']}' with the parts and values below")
    schema = [_with_value(argument, node) for argument in arguments(factory).values()]
    lines += _table("arguments", [a for a in schema if not (a.wired or a.slot)])
    lines += _table("slots, each takes another part", [a for a in schema if a.slot])
    lines += _table("wired by detkit, never written in YAML", [a for a in schema if a.wired])
    return "\n".join(lines)


def _with_value(argument: Argument, node: Mapping[str, Any]) -> Argument:
    """An argument whose default is the value that a page gives it."""
    if argument.name not in node:
        return argument
    value = node[argument.name]
    if argument.slot is None:
        return replace(argument, default=value)
    part = value if isinstance(value, Mapping) else {"name": value}
    changes = {key: inner for key, inner in part.items() if key != "name"}
    return replace(argument, slot=replace(argument.slot, default=part["name"], arguments=changes))


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    width = shutil.get_terminal_size((100, 24)).columns
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _table(title: str, members: Iterable[Argument]) -> Iterator[str]:
    rows = [(a.name, a.type_text, default_text(a), a.doc) for a in members]
    if not rows:
        return
    yield f"\n{title}:"
    longest = max(len(row[0]) for row in rows)
    for name, kind, default, doc in rows:
        yield f"  {name:{longest}}  {kind}{default}"
        yield from _wrapped(doc, " " * (longest + 4))


def default_text(argument: Argument) -> str:
    """The text about an argument's default, which follows its type."""
    slot = argument.slot
    if argument.wired or argument.by_label:
        return ""
    if slot is not None:
        if slot.default is None:
            return ", default null" if argument.optional else ", required"
        changes = ", ".join(f"{key}: {_yaml(value)}" for key, value in slot.arguments.items())
        return f", default {slot.default}" + (f" ({changes})" if changes else "")
    if argument.default is MISSING:
        return ", required"
    return f", default {_yaml(argument.default)}"


def _yaml(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    return json.dumps(value).replace("Infinity", ".inf")
