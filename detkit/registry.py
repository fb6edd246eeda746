"""Parts by name: families, registration, lazy look-up and plugins. Imports neither torch nor hydra.

detkit's own parts are found by reading the text of its sources, so listing names imports nothing;
a part's module is imported when the part is asked for.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Interval

from detkit import plugin_files
from detkit.errors import UserError, did_you_mean
from detkit.plugin_files import Plugin, is_file

T = TypeVar("T")
P = TypeVar("P", bound=Callable[..., Any])

FAMILIES: dict[str, str] = {
    "detector": "a whole detector: backbone, neck and head",
    "backbone": "image to feature levels",
    "neck": "feature levels to feature levels",
    "head": "feature levels to losses and detections",
    "proposer": "feature levels to regions that may hold an object",
    "roi_head": "feature levels and regions to losses and detections",
    "pooling": "feature levels and regions to a small map for each region",
    "box_head": "the small map of a region to its features",
    "priors": "where a dense head predicts: anchor boxes or points",
    "box_coder": "boxes to regression codes and back",
    "assigner": "which prior is responsible for which object",
    "sampler": "which priors count in the loss",
    "quality_target": "what the quality branch of a head learns: centreness, objectness",
    "loss": "one value per prior from predictions and targets",
    "postprocess": "candidate boxes to final detections",
    "reader": "a data set on disk to an index of images and objects",
    "transform": "one step of image and box augmentation",
    "sampling": "how often each training image comes in an epoch",
    "metric": "detections and objects to numbers",
    "optimizer": "parameter updates",
    "scheduler": "learning rate over time",
    "callback": "what runs alongside training",
    "logger": "where numbers are sent",
}

_LINE = re.compile(r'^@register\(\s*"(\w+)",\s*"([\w.-]+)"', re.MULTILINE)
_SLOT = re.compile(r"^ +(\w+): Annotated\[\s*[^#=]*?Slot\(", re.MULTILINE)
_SKIPPED = {"cli", "config", "structures", "ops", "plugin_templates", "__pycache__", "_conf"}

# Ranges that the config check enforces; use them in the annotations of constructors.
Fraction = Annotated[float, Interval(ge=0, le=1)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]


class _WiredMark:
    """Marks an argument that assembly fills in and YAML must not hold."""


Wired = Annotated[T, _WiredMark()]


@dataclass(frozen=True)
class Slot:
    """Marks a constructor argument that takes another registered part.

    Write `assigner: Annotated[Assigner, Slot("assigner", "max_iou", {"foreground": 0.5})]`. The
    argument is named after its family or ends with it (`box_loss` takes a `loss`), so that a config
    path alone tells the family. On a `dict[str, Part]` annotation the slot holds parts by label.

    Attributes:
        family: The family of the parts that fit.
        default: The name of the part used when the config names none; None means no part.
        arguments: Values that differ from the default part's own defaults.
        space: For losses: the spaces that fit (`Loss.space`); empty admits all.
    """

    family: str
    default: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    space: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a family that does not exist."""
        require_family(self.family)


@dataclass(frozen=True)
class Part:
    """One registered name: where it is defined and, once imported, what it builds."""

    family: str
    name: str
    module: str
    file: Path
    origin: str
    factory: Callable[..., Any] | None = None
    plugin: str | None = None


_parts: dict[tuple[str, str], Part] = {}
plugin_failures: dict[str, BaseException] = {}
_loaded_plugins: dict[str, str] = {}
_known_plugins: dict[str, Plugin] = {}
_loading: Plugin | None = None


def require_family(family: str) -> None:
    """Raise UserError when there is no such family."""
    if family not in FAMILIES:
        message = f"there is no family '{family}'; families: {', '.join(FAMILIES)}."
        raise UserError(message + did_you_mean(family, FAMILIES))


def family_of_slot(argument: str) -> str | None:
    """The family that an argument takes by its name, or None (`box_loss` -> `loss`)."""
    fitting = [f for f in FAMILIES if argument == f or argument.endswith(f"_{f}")]
    return max(fitting, key=len) if fitting else None


def register(family: str, name: str) -> Callable[[P], P]:
    """Register a class, or a function that builds one, under a name of a family.

    Write the decorator at the start of a line with literal strings: names are listed by reading
    the text.

    Raises:
        UserError: The family is unknown, the name is taken, or the constructor hides its arguments.
    """
    require_family(family)

    def add(factory: P) -> P:
        _require_explicit_arguments(family, name, factory)
        ours = (family, name) in _builtin_parts()
        known = _builtin_parts().get((family, name)) or _parts.get((family, name))
        module = factory.__module__
        if known is not None and module != known.module and not is_file(module, known.file):
            raise UserError(
                f"{family} '{name}' in module '{module}' clashes with the one in "
                f"'{known.module}': register it under another name."
            )
        file = Path(inspect.getfile(factory))
        origin = _loading.origin if _loading else f"module {module}"
        plugin = _loading.name if _loading and not ours else None
        origin = "detkit" if ours or module.startswith("detkit.") else origin
        _parts[family, name] = Part(family, name, module, file, origin, factory, plugin)
        return factory

    return add


def _require_explicit_arguments(family: str, name: str, factory: Callable[..., Any]) -> None:
    for parameter in inspect.signature(factory).parameters.values():
        where = f"{family} '{name}' ({factory.__module__}): argument '{parameter.name}'"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UserError(
                f"{where} hides arguments: list each one so that a config can be checked."
            )
        if parameter.annotation is parameter.empty:
            raise UserError(f"{where} has no type: annotate it so that a config can be checked.")


@cache
def _builtin_parts() -> dict[tuple[str, str], Part]:
    root = Path(__file__).parent
    parts: dict[tuple[str, str], Part] = {}
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name not in _SKIPPED):
        for path in sorted(folder.rglob("*.py")):
            module = ".".join(("detkit", *path.relative_to(root).with_suffix("").parts))
            for family, name in registered_in(path):
                parts[family, name] = Part(family, name, module, path, "detkit")
    return parts


def registered_in(file: Path) -> list[tuple[str, str]]:
    """(family, name) of the parts that a source file registers, read from its text."""
    return _LINE.findall(file.read_text(encoding="utf-8"))


def names(family: str) -> list[str]:
    """The sorted names of a family's parts; imports none of them."""
    require_family(family)
    known = {**_builtin_parts(), **_parts}
    return sorted(name for member, name in known if member == family)


def part(family: str, name: str) -> Part:
    """Where a part comes from; imports nothing.

    Raises:
        UserError: No part has this name. The message names the nearest one and any plugin that
            failed to load.
    """
    require_family(family)
    found = _parts.get((family, name)) or _builtin_parts().get((family, name))
    if found is None:
        raise UserError(unknown_part(family, name))
    return found


def unknown_part(family: str, name: str) -> str:
    """The message for a name that no part of the family has."""
    message = f"there is no {family} '{name}'.{did_you_mean(name, names(family))}"
    message += f" Known: {', '.join(names(family)) or 'none'}."
    return message + failed_plugins()


def failed_plugins() -> str:
    """A sentence for each plugin that could not be loaded, with its own error; or nothing."""
    told = (plugin_files.failure_text(*failure) for failure in plugin_failures.items())
    return "".join(f" P{text[1:]}" for text in told)


def get(family: str, name: str) -> Callable[..., Any]:
    """The class or function registered under a name; imports its module when needed."""
    found = part(family, name)
    if found.factory is None:
        importlib.import_module(found.module)
        found = _parts[family, name]
    if found.factory is None:
        raise RuntimeError(f"importing {found.module} did not register {family} '{name}'")
    return found.factory


def load_plugins(listed: Iterable[str] = ()) -> list[str]:
    """Import plugins: entry points, folder `plugins/`, DETKIT_PLUGINS, then those listed.

    A plugin that fails is kept in `plugin_failures`, named when one of its parts is missed, and
    does not stop the others; none of its parts is registered. Loading again is harmless.

    Returns:
        The names of all plugins loaded so far.
    """
    for plugin in plugin_files.found(listed):
        if plugin.name not in _loaded_plugins and plugin.name not in plugin_failures:
            _load_plugin(plugin)
    return list(_loaded_plugins)


def _load_plugin(plugin: Plugin) -> None:
    global _loading  # noqa: PLW0603  # `register` runs inside the import and must know whose it is
    before, _loading = _loading, plugin
    _known_plugins[plugin.name] = plugin
    try:
        there = plugin_files.import_plugin(plugin, {part.module for part in _parts.values()})
        for known in [part for part in _parts.values() if part.module in there]:
            key, origin = (known.family, known.name), plugin.origin
            _parts[key] = replace(known, origin=origin, plugin=plugin.name)
        _loaded_plugins[plugin.name] = plugin.origin
    except (Exception, SystemExit) as error:  # it may fail in any way; the user sees its own error
        plugin_failures[plugin.name] = error
        for key in [key for key, part in _parts.items() if part.plugin == plugin.name]:
            del _parts[key]
    finally:
        _loading = before


def plugin_pages() -> list[Path]:
    """The folders of pages that plugins bring, those of plugins that failed included."""
    names = {**_loaded_plugins, **plugin_failures}
    folders = (plugin_files.pages_of(p) for n, p in _known_plugins.items() if n in names)
    return list(dict.fromkeys(filter(None, folders)))


def plugins_of(config: Any) -> list[str]:
    """The loaded plugins that a configuration has parts of, by the names of its parts."""
    waiting, chosen = [config], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            chosen.add(node.get("name"))
            waiting += node.values()
        waiting += node if isinstance(node, list) else []
    bringing = {part.plugin for part in _parts.values() if part.name in chosen}
    return [name for name in _loaded_plugins if name in bringing]


def slot_names(family: str) -> list[str]:
    """The slots of a family's parts, read from the text of their sources; imports none of them."""
    files = {part(family, name).file for name in names(family)}
    found = {slot for file in files for slot in _SLOT.findall(file.read_text(encoding="utf-8"))}
    return sorted(found)
