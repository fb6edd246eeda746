"""The whole configuration against the constructors' signatures, before anything is built or read.

`check` completes a configuration (bare names, left-out defaults) and collects every problem with
its path, what is allowed, the nearest name, and the value's file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from detkit import registry
from detkit.config.checks.hints import (
    ALWAYS_WIRED,
    as_nested_yaml,
    looks_mistyped,
    owner_hint,
    paths_of,
    shown_value,
    with_article,
)
from detkit.config.checks.other_tools import other_word
from detkit.config.checks.safety import CODE_KEYS, RUNS_NOTHING
from detkit.config.composition import current
from detkit.config.earlier_versions import new_path
from detkit.config.pages import default_value
from detkit.config.part_pages import all_names, part_node, unknown_part
from detkit.config.signatures import MISSING, Argument, arguments, check_value, type_text
from detkit.config.slots import resolve
from detkit.errors import ConfigError, did_you_mean, nearest

Node = dict[str, Any]


def check(
    root: Callable[..., Any],
    config: Node,
    overrides: list[str] | None = None,
    referenced: Set[str] = frozenset(),
) -> Node:
    """Complete a configuration and refuse it with all its problems at once.

    Args:
        root: The constructor whose arguments are the keys of the root.
        config: Plain mapping with interpolations resolved.
        overrides: The command line's overrides, to be named as the source of a wrong value.
        referenced: Config paths that interpolations name. An unknown key among them is a constant
            of the user's pages, which is left out, unless it looks like a mistyped key.

    Raises:
        ConfigError: One message per problem.
    """
    checker = _Checker(
        config, [override.lstrip("+~").split("=")[0] for override in overrides or []], referenced
    )
    complete = checker.block(arguments(root), config, ())
    if checker.problems:
        raise ConfigError(checker.problems)
    return complete


class _Checker:
    def __init__(self, config: Node, overridden: list[str], referenced: Set[str]) -> None:
        self.problems: list[str] = []
        self._config = config
        self._referenced = referenced
        self._overridden = {path.replace("/", ".") for path in overridden}

    def report(self, path: tuple[str, ...], message: str, value: Any = None) -> None:
        """Add a problem with the file and line of the value at `path`."""
        name = ".".join(path)
        origin: object = current().origins.find(name, value)
        below = any(key.startswith(f"{name}.") for key in self._overridden)
        if name in self._overridden or (below and origin is None):
            origin = "command line"
        self.problems.append(f"{name}: {message}" + (f" ({origin})" if origin else ""))

    def block(self, schema: Mapping[str, Argument], mapping: Any, path: tuple[str, ...]) -> Node:
        """The values of a constructor's arguments, completed."""
        if not isinstance(mapping, Mapping):
            self.report(path, f"expected a mapping of arguments, got {shown_value(mapping)}.")
            return {}
        complete: Node = {}
        for key in mapping:
            if (key not in schema or schema[key].wired) and not self._is_constant(
                str(key), schema, path
            ):
                self._unknown_key(schema, str(key), path, value=mapping[key])
        for argument in schema.values():
            if not argument.wired:
                value = mapping.get(argument.name, MISSING)
                complete[argument.name] = self._value(argument, value, (*path, argument.name))
        return complete

    def _unknown_key(
        self,
        schema: Mapping[str, Argument],
        key: str,
        path: tuple[str, ...],
        hint: str = "",
        value: Any = None,
    ) -> None:
        if key in CODE_KEYS:
            message = f"is refused: {RUNS_NOTHING}."
        elif key in schema or key in ALWAYS_WIRED:
            message = "is set by detkit from the data and the parts before; remove it."
        else:
            allowed = [name for name, argument in schema.items() if not argument.wired]
            nested = (
                f" Keys are nested, not dotted: write {as_nested_yaml(key)}." if "." in key else ""
            )
            meant = did_you_mean(key, allowed)
            if not path and (config_paths := list(paths_of(key, self._config))):
                meant = f" Did you mean {' or '.join(map(repr, config_paths))}?"
            message = f"unknown key.{nested or meant}{hint}"
            message += f" Allowed here: {', '.join(allowed) or 'nothing'}."
            if other := other_word((*path, key), value, self._config):
                message = f"unknown key.{other}"
            if moved := new_path((*path, key), self._config):
                message = f"has moved to {moved}."
        self.report((*path, key), message, value)

    def _value(self, argument: Argument, value: Any, path: tuple[str, ...]) -> Any:
        if argument.by_label:
            return self._labelled(argument, {} if value in (MISSING, None) else value, path)
        if argument.slot is not None:
            return self._slot(argument, value, path)
        if argument.block is not None:
            schema = arguments(resolve(argument.block))
            if value is MISSING or (value is None and argument.default is None):
                value = {}
            return self.block(schema, value, path)
        if value is MISSING:
            value = default_value(argument)
        if value == "???":
            kind = type_text(argument.annotation)
            about = f": {argument.doc}" if argument.doc else ""
            self.report(path, f"a value is missing ({kind}{about}) Set {'.'.join(path)}=VALUE.")
            return value
        expected = check_value(argument.annotation, value)
        if expected is not None:
            self.report(path, f"expected {expected}, got {shown_value(value)}.", value)
        return value

    def _is_constant(self, key: str, schema: Mapping[str, Argument], path: tuple[str, ...]) -> bool:
        """Whether an unknown key is a user's constant that an interpolation refers to."""
        if ".".join((*path, key)) not in self._referenced or key in (*schema, *CODE_KEYS):
            return False
        meant = nearest(key, schema)
        return meant is None or (not path and not looks_mistyped(key, meant))

    def _labelled(self, argument: Argument, value: Any, path: tuple[str, ...]) -> Node:
        if value == "???":
            beside = self._config.get(path[0], {})
            line_origins = [current().origins.find(f"{path[0]}.{key}") for key in beside]
            file = next((origin.file.name for origin in line_origins if origin), "the page")
            about = argument.doc[:1].lower() + argument.doc[1:].rstrip(".")
            self.report(
                path,
                f"{file} has no '{path[-1]}' ({about}): add it, or `{path[-1]}: {{}}` for none.",
            )
            return {}
        if argument.slot is None or not isinstance(value, Mapping):
            self.report(path, f"expected parts by label, got {shown_value(value)}.")
            return {}
        family = argument.slot.family
        there = {
            str(label): part
            for label, part in value.items()
            if part is not None
            and not self._has_no_part(part, (*path, str(label)))
            and not self._is_labelled_constant(part, family, (*path, str(label)))
        }
        for label in {*map(str, value)} - {*there}:
            self._left_out(label, there, path)
        return {
            label: self.part(registry.Slot(family), part, (*path, label))
            for label, part in there.items()
        }

    def _is_labelled_constant(self, value: Any, family: str, path: tuple[str, ...]) -> bool:
        """Whether a user's constant is among labels of parts."""
        names_part = isinstance(value, Mapping) or value in registry.names(family)
        return not names_part and ".".join(path) in self._referenced

    def _has_no_part(self, value: Any, path: tuple[str, ...]) -> bool:
        """Whether a page tunes a label that is missing in the choice that overrides its group."""
        key = ".".join(path)
        typed = any(word == key or word.startswith(f"{key}.") for word in self._overridden)
        unnamed = isinstance(value, Mapping) and "name" not in value
        return unnamed and current().origins.is_optional(key) and not typed

    def _left_out(self, label: str, labels: Iterable[str], path: tuple[str, ...]) -> None:
        """Report a removed label that does not exist, but resembles an existing one."""
        key = ".".join((*path, label))
        meant = nearest(label, labels)
        mistyped = meant is not None and looks_mistyped(label, meant)
        if key in self._overridden and not current().origins.lines(key) and mistyped:
            message = f"there is no such label to remove. Did you mean '{meant}'?"
            self.report((*path, label), message)

    def _slot(self, argument: Argument, value: Any, path: tuple[str, ...]) -> Node | None:
        slot = argument.slot
        if slot is None:
            raise ValueError(f"argument '{argument.name}' has no slot")
        if value is MISSING:
            value = {"name": slot.default, **slot.arguments} if slot.default else None
        if value is None or value == {"name": None}:
            if not argument.optional:
                names = ", ".join(all_names(slot.family))
                verb = "are" if slot.family in registry.PLURAL else "is"
                message = f"{with_article(slot.family)} {verb} missing; choose one of {names}."
                self.report(path, message, "null")
            return None
        return self.part(slot, value, path)

    def part(self, slot: registry.Slot, value: Any, path: tuple[str, ...]) -> Node:
        """A part's name and arguments, completed."""
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            self.report(path, f"expected the name of a {slot.family}, got {shown_value(value)}.")
            return {}
        if any(key in value for key in CODE_KEYS):
            key = next(key for key in CODE_KEYS if key in value)
            self._unknown_key({}, key, path)
            return {}
        is_named = "name" in value
        value = part_node(slot.family, {"name": slot.default, **value})
        name = value["name"]
        if name not in registry.names(slot.family):
            names = all_names(slot.family)
            verb = "need" if slot.family in registry.PLURAL else "needs"
            message = (
                f"{with_article(slot.family)} {verb} a name; choose one of {', '.join(names)}."
            )
            unknown = unknown_part(slot.family, str(name)) if name else message
            self.report((*path, "name") if is_named else path, unknown, name)
            return {}
        factory = registry.get(slot.family, name)
        self._check_space(slot, name, factory, path)
        schema = arguments(factory)
        values = {key: inner for key, inner in value.items() if key != "name"}
        for key in [key for key in values if key not in schema]:
            if self._is_constant(key, schema, path):
                continue
            self._unknown_key(schema, key, path, owner_hint(slot.family, name, key), values[key])
            del values[key]
        return {"name": name, **self.block(schema, values, path)}

    def _check_space(
        self, slot: registry.Slot, name: str, factory: Callable[..., Any], path: tuple[str, ...]
    ) -> None:
        """Refuse a loss that works on something else than its slot feeds it."""
        if not slot.space:
            return
        space = getattr(factory, "space", None)
        if space not in slot.space:
            fitting = [
                other
                for other in registry.names(slot.family)
                if getattr(registry.get(slot.family, other), "space", None) in slot.space
            ]
            self.report(
                path,
                f"{slot.family} '{name}' works on {space}, this slot takes "
                f"{' or '.join(slot.space)}; choose one of {', '.join(fitting)}.",
            )
