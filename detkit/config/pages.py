"""Pages of YAML become option nodes: every part a page names moves to its own config group.

A slot mapping with a `name` (or a bare string) leaves the body and becomes an option of its
slot's group, so that `model/neck=pan` replaces it whole; a slot mapping without a name stays in
the body and tunes whatever part is chosen. Nodes hold every default of their constructor, so that
each value can be overridden by its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit import registry
from detkit.config.composition import current
from detkit.config.part_pages import is_page
from detkit.config.part_pages import part_node as part_page_node
from detkit.config.signatures import MISSING, Argument, arguments
from detkit.config.slots import block_at, is_block, label_family, root_arguments, slot_at
from detkit.errors import ConfigError

Node = dict[str, Any]
CHECKPOINT = "checkpoint"
CLEARED = "cleared-labels"  # group of options that set labels to null
LEFT_OUT = "left-out"  # option of a slot that a page sets to null


def part_node(group: tuple[str, ...], mapping: Node, tag: str) -> Node:
    """The option node of a part or block: its slots' choices, and every default under the values.

    Args:
        group: The config path that the node lands at.
        mapping: The values given; `name` may be omitted if the slot has a default part.
        tag: Names the page in the options that its parts become.
    """
    slot = slot_at(group)
    block = block_at(group)
    body: Node = {}
    if slot is not None:
        name = mapping.get("name", slot.default)
        body["name"] = name
        if name not in registry.names(slot.family):
            return _page_node(group, {**mapping, **body}, tag)
        schema = arguments(registry.get(slot.family, str(name)))
    elif block is not None:
        schema = arguments(block)
    else:
        return labelled_node(group, mapping)
    choices: list[Node] = []
    for argument in schema.values():
        if argument.wired:
            continue
        if argument.slot is not None and not argument.by_label:
            option, inner = _choose(group, argument, mapping, tag)
            choices.append({argument.name: option})
            if inner is not MISSING:
                body[argument.name] = inner
        elif argument.by_label and block is not None and mapping.get(argument.name) is None:
            body[argument.name] = default_value(argument)
        elif argument.by_label:
            body[argument.name] = labelled(argument, mapping.get(argument.name) or {})
        else:
            body[argument.name] = mapping.get(argument.name, default_value(argument))
    unknown = {key: value for key, value in mapping.items() if key not in {*schema, "name"}}
    return {"defaults": [*choices, "_self_"], **body, **unknown}


def _page_node(group: tuple[str, ...], mapping: Node, tag: str) -> Node:
    """The option node of a page that defines a part: the page, tuned by the other values."""
    if not is_page(group, mapping["name"]):
        return mapping  # the check reports the unknown name
    values = {key: value for key, value in mapping.items() if key != "name"}
    return tuning_node(group, {"defaults": [mapping["name"]], **values}, tag)


def default_value(argument: Argument) -> Any:
    """An argument's default as YAML holds it, `???` if a value is required."""
    if argument.default is MISSING:
        return "???"
    return list(argument.default) if isinstance(argument.default, tuple) else argument.default


def _choose(
    group: tuple[str, ...], argument: Argument, mapping: Node, tag: str
) -> tuple[str | None, Any]:
    """Split a slot's setting into the option of its group and the rest, which stays in the body."""
    slot = argument.slot
    if slot is None:
        raise ValueError(f"argument '{argument.name}' has no slot")
    default = {"name": slot.default, **slot.arguments}
    given, inner = mapping.get(argument.name, default), MISSING
    if isinstance(given, str):
        given = {"name": given}
    elif isinstance(given, Mapping) and "name" not in given:
        given, inner = default, dict(given)
    if given is None and slot.default is not None:  # without an option, the default takes its place
        return left_out((*group, argument.name), tag), inner
    if given is None or given == {"name": None}:
        return None, inner
    path = (*group, argument.name)
    if isinstance(given, Mapping) and _is_option(path, slot.family, given["name"]):
        return add_option(path, dict(given), tag), inner
    return None, given  # the check says what is wrong with it


def _is_option(path: tuple[str, ...], family: str, name: Any) -> bool:
    """Whether a slot can take this name: a registered part, or a page that defines one."""
    return name in registry.names(family) or is_page(path, name)


def offer_checkpoint(config: Node) -> None:
    """Make the slots and blocks of a checkpoint's configuration the option `checkpoint`.

    What is plain in it is the root's own value; what to load is the user's to say, so the plugins
    that a checkpoint names are not.
    """
    for argument in root_arguments().values():
        value = config.get(argument.name)
        if argument.slot or argument.block:
            if value is not None and not isinstance(value, Mapping):
                kind = type(value).__name__
                message = f"expected a mapping in the checkpoint, got {value!r} ({kind})."
                raise ConfigError([f"{argument.name}: {message}"])
            if value is not None:
                current().page_options[f"{argument.name}/{CHECKPOINT}"] = (dict(value), CHECKPOINT)
        elif value is not None and argument.name not in ("plugins", "ckpt"):
            current().root_values[argument.name] = value


def add_option(group: tuple[str, ...], mapping: Node, tag: str) -> str:
    """Make a part with its values an option of a group and return the option's name."""
    name = str(mapping["name"])
    if len(mapping) == 1:
        return name
    option = f"{name}--{tag}"
    current().page_options["/".join((*group, option))] = (mapping, tag)
    return option


def left_out(group: tuple[str, ...], tag: str) -> str:
    """Make "no part" an option of a group and return the option's name."""
    current().page_options["/".join((*group, LEFT_OUT))] = ({"name": None}, tag)
    return LEFT_OUT


def labelled_node(group: tuple[str, ...], mapping: Node) -> Node:
    """A page whose keys are labels of parts (callbacks), each filled with its defaults."""
    argument = root_arguments().get(group[0]) if len(group) == 1 else None
    if argument is None or not argument.by_label:
        return dict(mapping)
    return labelled(argument, mapping)


def labelled(argument: Argument, mapping: Any) -> Any:
    """Parts by label, each filled with the defaults of its constructor."""
    if argument.slot is None or not isinstance(mapping, Mapping):
        return mapping
    return {label: filled(argument.slot.family, value) for label, value in mapping.items()}


def filled(family: str, mapping: Any) -> Any:
    """A part's mapping with every default of its constructor, nested parts included."""
    if isinstance(mapping, str):
        mapping = {"name": mapping}
    if not isinstance(mapping, Mapping):
        return mapping
    mapping = part_page_node(family, mapping)
    if mapping.get("name") not in registry.names(family):
        return mapping
    node: Node = {"name": mapping["name"]}
    for argument in arguments(registry.get(family, mapping["name"])).values():
        if argument.wired:
            continue
        value = mapping.get(argument.name, MISSING)
        if argument.slot is not None and not argument.by_label:
            default = {"name": argument.slot.default, **argument.slot.arguments}
            result = default if value is MISSING else value
            absent = isinstance(result, Mapping) and result.get("name", "") is None
            node[argument.name] = None if absent else filled(argument.slot.family, result)
        else:
            node[argument.name] = default_value(argument) if value is MISSING else value
    return {**node, **{key: value for key, value in mapping.items() if key not in node}}


def with_named_pages(mapping: Node) -> Node:
    """A global page whose `model: fcos` chooses that page, as `override /model: fcos` does."""
    choices = {key: value for key, value in mapping.items() if _chooses_page(key, value)}
    content = {key: value for key, value in mapping.items() if key not in choices}
    entries = [{f"override /{group}": option} for group, option in choices.items()]
    return (
        {**content, "defaults": [*(mapping.get("defaults") or []), *entries]}
        if choices
        else content
    )


def _chooses_page(key: str, value: Any) -> bool:
    argument = root_arguments().get(key)
    if argument is None or not isinstance(value, str) or "${" in value:
        return False
    if argument.slot is not None and value in registry.names(argument.slot.family):
        return False
    return argument.slot is not None or argument.block is not None


def tuning_node(prefix: tuple[str, ...], mapping: Node, tag: str) -> Node:
    """A page that changes other pages' choices: named parts become overrides of their groups.

    If the page names a labelled part, an option that Hydra merges just before the page sets the
    label to null, so that nothing remains of the earlier part.
    """
    page_defaults = [_left_out_entry(entry, tag) for entry in mapping.get("defaults") or []]
    overrides: list[tuple[str, str | None]] = []
    content = {key: value for key, value in mapping.items() if key != "defaults"}
    body = _split_tuning(prefix, content, tag, overrides)
    if "_self_" not in page_defaults:
        first_override = next(
            (i for i, entry in enumerate(page_defaults) if _is_override(entry)), len(page_defaults)
        )
        page_defaults.insert(first_override, "_self_")
    if nulls := _named_labels(prefix, body):
        current().page_options[f"{CLEARED}/{tag}"] = (_nested(prefix, nulls), tag)
        page_defaults.insert(page_defaults.index("_self_"), f"/{CLEARED}/{tag}")
    # An override is written absolutely in a global page, relative to its group in any other.
    start = "/".join(prefix) + "/" if prefix else ""
    entries = [
        {f"override {'' if prefix else '/'}{group.removeprefix(start)}": option}
        for group, option in overrides
    ]
    return {"defaults": [*page_defaults, *entries], **body}


def _named_labels(path: tuple[str, ...], mapping: Node) -> Node:
    """Null for each label in a page's body that names a part."""
    nulls: Node = {}
    is_labelled = label_family(path) is not None
    for key, value in mapping.items():
        if is_labelled and isinstance(value, Mapping) and value.get("name") is not None:
            nulls[key] = None
        elif isinstance(value, Mapping) and (
            inner := _named_labels((*path, str(key)), dict(value))
        ):
            nulls[key] = inner
    return nulls


def _nested(path: tuple[str, ...], mapping: Node) -> Node:
    for key in reversed(path):
        mapping = {key: mapping}
    return mapping


def _is_override(entry: Any) -> bool:
    return isinstance(entry, Mapping) and any(str(key).startswith("override ") for key in entry)


def _left_out_entry(entry: Any, tag: str) -> Any:
    """An entry of a defaults list, `override /model/neck: null` as a choice of no part."""
    if not _is_override(entry):
        return entry
    return {
        key: left_out(path, tag)
        if option is None
        and len(path := tuple(str(key).removeprefix("override ").strip("/ ").split("/"))) > 1
        and slot_at(path) is not None
        else option
        for key, option in entry.items()
    }


def _split_tuning(
    prefix: tuple[str, ...], mapping: Node, tag: str, overrides: list[tuple[str, str | None]]
) -> Node:
    body: Node = {}
    is_labelled = label_family(prefix) is not None
    for key, content in mapping.items():
        path = (*prefix, str(key))
        slot = slot_at(path)
        # Hydra would merge an empty mapping, which changes nothing.
        value: Any = None if content == {} and label_family(path) is not None else content
        named: Any = {"name": value} if isinstance(value, str) else value
        if slot is None or not (value is None or isinstance(named, Mapping)):
            if isinstance(value, Mapping) and (is_block(path) or label_family(path) is not None):
                body[key] = _split_tuning(path, dict(value), tag, overrides)
            else:
                body[key] = named if is_labelled else value
        elif value is None:
            option = left_out(path, tag) if len(path) > 1 or slot.default else None
            overrides.append(("/".join(path), option))
        elif "name" in named and _is_option(path, slot.family, named["name"]):
            overrides.append(("/".join(path), add_option(path, dict(named), tag)))
        elif "name" in named:
            body[key] = named
        else:
            body[key] = _split_tuning(path, dict(named), tag, overrides)
    return body
