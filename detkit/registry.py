"""Parts by name: families, registration, lazy look-up and plugins. Imports neither torch nor hydra.

detkit finds its own parts in the text of its sources; a module is imported when first needed.
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
from detkit.explicit_arguments import require_explicit_arguments
from detkit.plugin_files import Plugin, is_file
from detkit.unsupported_parts import unsupported

T = TypeVar("T")
P = TypeVar("P", bound=Callable[..., Any])

FAMILIES: dict[str, str] = {
    "detector": "a whole detector: backbone, neck and head",
    "backbone": "image to feature levels",
    "neck": "feature levels to feature levels",
    "head": "feature levels to losses and detections",
    "proposer": "feature levels to regions that may hold an object",
    "layers": "the trainable part of a dense head or a proposer",
    "roi_head": "feature levels and regions to losses and detections",
    "pooling": "feature levels and regions to a small map for each region",
    "mask_head": "regions with objects to the mask of each object",
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
    "exporter": "a trained detector to a file for another engine",
    "writer": "predictions to the files of one format",
}
PLURAL = ("layers", "priors")  # families whose names are plural nouns

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
    """Marks an argument that assembly fills in and YAML must not contain."""


Wired = Annotated[T, _WiredMark()]


@dataclass(frozen=True)
class Slot:
    """Marks a constructor argument that takes another registered part.

    Write `assigner: Annotated[Assigner, Slot("assigner", "max_iou", {"foreground": 0.5})]`. The
    argument's name is its family's name or ends with it (`box_loss` takes a `loss`), so that a
    config path determines the family. An argument of type `dict[str, Part]` holds parts by label.

    Attributes:
        family: The family of the parts that fit.
        default: Name of the part to use if the config names none; None means no part.
        arguments: Values that differ from the defaults of the default part.
        space: For losses: the accepted spaces (`Loss.space`); empty accepts all.

    Example:
        >>> detkit.Slot("assigner", "atss", {"topk": 5}).default
        'atss'
    """

    family: str
    default: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    space: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the family exists."""
        require_family(self.family)


@dataclass(frozen=True)
class Part:
    """A registered name: where it is defined and, once imported, its factory."""

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
    """Raise a UserError if the family does not exist."""
    if family not in FAMILIES:
        message = f"there is no family '{family}'; families: {', '.join(FAMILIES)}."
        raise UserError(message + did_you_mean(family, FAMILIES))


def family_of_slot(argument: str) -> str | None:
    """The family of an argument, judged by its name (`box_loss` -> `loss`), or None."""
    fitting = [f for f in FAMILIES if argument == f or argument.endswith(f"_{f}")]
    return max(fitting, key=len) if fitting else None


def register(family: str, name: str) -> Callable[[P], P]:
    """Register a class, or a function that builds an instance, by family and name.

    Write the decorator at the start of a line with literal strings, because detkit lists names by
    reading the source text.

    Raises:
        UserError: The family is unknown, the name is taken, or the constructor hides its arguments.

    Example:
        >>> import torch
        >>> from detkit.structures import FeatureSpec
        >>> @detkit.register("neck", "unchanged")
        ... class Unchanged(torch.nn.Identity):
        ...     def __init__(self, *, feature_specs: detkit.Wired[list[FeatureSpec]]) -> None:
        ...         super().__init__()
        ...         self.feature_specs = feature_specs
        >>> detkit.compose(["model=fcos", "model/neck=unchanged"])["model.neck"]
        {'name': 'unchanged'}
    """
    require_family(family)

    def add(factory: P) -> P:
        require_explicit_arguments(factory, f"{family} '{name}' ({factory.__module__})")
        builtin = _builtin_parts().get((family, name))
        existing = builtin or _parts.get((family, name))
        module = factory.__module__
        if (
            existing is not None
            and module != existing.module
            and not is_file(module, existing.file)
        ):
            raise UserError(
                f"{family} '{name}' in module '{module}' clashes with the one in "
                f"'{existing.module}': register it under another name."
            )
        file = Path(inspect.getfile(factory))
        origin = _loading.origin if _loading else f"module {module}"
        plugin = _loading.name if _loading and not builtin else None
        origin = "detkit" if builtin or module.startswith("detkit.") else origin
        _parts[family, name] = Part(family, name, module, file, origin, factory, plugin)
        return factory

    return add


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
    return sorted(name for member, name in {**_builtin_parts(), **_parts} if member == family)


def part(family: str, name: str) -> Part:
    """Look up a part without importing it.

    Raises:
        UserError: No part has this name. The message suggests the nearest name and lists plugins
            that failed to load.
    """
    require_family(family)
    result = _parts.get((family, name)) or _builtin_parts().get((family, name))
    if result is None:
        raise UserError(unknown_part(family, name))
    return result


def unknown_part(family: str, name: str, pages: Iterable[str] = ()) -> str:
    """The message for a name that is neither a part of a family nor a page that defines one."""
    known_names = sorted({*names(family), *pages})
    verb = "are" if family in PLURAL else "is"
    hint = unsupported(family, name) or did_you_mean(name, known_names)
    known = f" Known: {', '.join(known_names) or 'none'}."
    return f"there {verb} no {family} '{name}'.{hint}{known}{failed_plugins()}"


def failed_plugins() -> str:
    """A sentence for each plugin that failed to load, with its error; empty if there is none."""
    messages = (plugin_files.failure_text(*failure) for failure in plugin_failures.items())
    return "".join(f" P{text[1:]}" for text in messages)


def get(family: str, name: str) -> Callable[..., Any]:
    """The class or function registered by a name; imports its module if needed."""
    registered = part(family, name)
    if registered.factory is None:
        importlib.import_module(registered.module)
        registered = _parts[family, name]
    if registered.factory is None:
        raise RuntimeError(f"importing {registered.module} did not register {family} '{name}'")
    return registered.factory


def load_plugins(listed: Iterable[str] = ()) -> list[str]:
    """Import plugins: entry points, folder `plugins/`, DETKIT_PLUGINS, then those listed.

    If a plugin fails to load, its parts are not registered, the others still load, and
    `plugin_failures` keeps its error for messages about unknown parts. Loading again is harmless.

    Returns:
        The names of all plugins loaded so far.
    """
    for plugin in plugin_files.discover(listed):
        if plugin.name not in _loaded_plugins and plugin.name not in plugin_failures:
            _load_plugin(plugin)
    return list(_loaded_plugins)


def _load_plugin(plugin: Plugin) -> None:
    global _loading  # noqa: PLW0603  # tells `register` which plugin is being imported
    before, _loading = _loading, plugin
    _known_plugins[plugin.name] = plugin
    try:
        modules = plugin_files.import_plugin(plugin, {part.module for part in _parts.values()})
        for imported_part in [part for part in _parts.values() if part.module in modules]:
            key, origin = (imported_part.family, imported_part.name), plugin.origin
            _parts[key] = replace(imported_part, origin=origin, plugin=plugin.name)
        _loaded_plugins[plugin.name] = plugin.origin
    except (Exception, SystemExit) as error:  # plugins may fail in any way; the user sees the error
        plugin_failures[plugin.name] = error
        for key in [key for key, part in _parts.items() if part.plugin == plugin.name]:
            del _parts[key]
    finally:
        _loading = before


def plugin_pages() -> list[Path]:
    """The folders of pages that plugins bring, including plugins that failed to load."""
    names = {**_loaded_plugins, **plugin_failures}
    folders = (plugin_files.pages_of(p) for n, p in _known_plugins.items() if n in names)
    return list(dict.fromkeys(filter(None, folders)))


def plugins_of(config: Any) -> list[str]:
    """The loaded plugins whose parts a configuration names."""
    part_names = plugin_files.part_names(config)
    bringing = {part.plugin for part in _parts.values() if part.name in part_names}
    return [name for name in _loaded_plugins if name in bringing]


def slot_names(family: str) -> list[str]:
    """The slots of a family's parts, read from their source text; imports none of them."""
    files = {part(family, name).file for name in names(family)}
    slots = {slot for file in files for slot in _SLOT.findall(file.read_text(encoding="utf-8"))}
    return sorted(slots)
