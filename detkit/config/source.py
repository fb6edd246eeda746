"""Hydra plugins that serve pages and registered parts as config groups; Hydra's public API only."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from detkit import registry
from detkit.config import pages, plugins, slots
from detkit.config.checks.page_structure import require_shape
from detkit.config.checks.safety import Trust, refuse_group, refuse_in_page
from detkit.config.composition import current, is_composing
from detkit.config.folders import page_folders, trust_of
from detkit.config.origins import in_both
from detkit.config.page_syntax import parse, read_text
from detkit.config.precedence import without_replaced_labels
from detkit.config.signatures import arguments
from detkit.config.sweep_options import publish_sweep_options
from detkit.errors import ConfigError
from detkit.files import display_path

# Hydra's help lists nested groups; a backbone that contains a backbone would never end.
_DEEPEST_LISTED = 3


class PageSource(ConfigSource):
    """The YAML pages of a folder, rewritten by `detkit.config.pages`."""

    @staticmethod
    def scheme() -> str:
        """The prefix of search path entries that this source serves."""
        return "detkit"

    def _file(self, config_path: str) -> Path:
        return Path(self.path) / self._normalize_file_name(config_path)

    def available(self) -> bool:
        """Whether the folder exists."""
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        """Whether a folder of pages has this name."""
        return (Path(self.path) / config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Whether a page has this name."""
        return ".." not in config_path.split("/") and self._file(config_path).is_file()

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a page and rewrite it.

        Raises:
            ConfigError: The page is not a YAML mapping, or would run code.
        """
        file = self._file(config_path)
        if not file.is_file():
            raise ConfigLoadError(f"no page {file}")
        trust = trust_of(Path(self.path))
        if trust is not Trust.DETKIT:
            refuse_group(config_path, display_path(file), trust)
        text = read_text(file)
        tree = parse(file, text)
        mapping = {} if tree is None else read_page(file, text)
        path = tuple(config_path.split("/"))
        package = self._package(file, text)
        refuse_in_page(mapping, package, display_path(file), trust)
        is_global = package == "_global_"
        if not is_global:
            _require_group(path, file)
        prefix = () if is_global or len(path) == 1 else path[:-1]
        current().origins.record(file, tree, prefix)
        if is_global:
            mapping = pages.with_named_pages(mapping)
        require_shape(mapping, prefix, file)
        current().includes.record(config_path, file, mapping.get("defaults"))
        if is_global and path[0] not in slots.ROOTS:
            mapping = without_replaced_labels(config_path, mapping, file)
        content = dict(mapping)
        tag = "-".join(path)
        if not prefix and isinstance(mapping.get("plugins"), list):
            plugins.load_from_page(mapping["plugins"], display_path(file), trust)
        if len(path) == 1 and path[0] in slots.ROOTS:
            node = root_node(path[0], mapping)
        elif is_global or _inherits(mapping):
            node = pages.tuning_node(prefix, mapping, tag)
        else:
            page_defaults = mapping.pop("defaults", None) or []
            node = pages.part_node(prefix, mapping, tag)
            node["defaults"] = [*page_defaults, *node.get("defaults", [])]
        current().origins.note(config_path, in_both(content, node), file)
        return _result(self, node, package)

    def _package(self, file: Path, text: str) -> str | None:
        try:
            return self._get_header_dict(text)["package"]
        except ValueError as error:
            raise ConfigError(
                [f"{display_path(file)}: its header cannot be read: {error}."]
            ) from error

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names of the pages and folders under a group."""
        folder = Path(self.path) / config_path
        names: set[str] = set()
        for path in folder.iterdir():
            if path.is_dir() and results_filter != ObjectType.CONFIG:
                names.add(path.name)
            if path.suffix == ".yaml" and results_filter != ObjectType.GROUP:
                names.add(path.stem)
        return sorted(names)


class PartSource(ConfigSource):
    """Registered parts as options of the groups of their slots, and the options made from pages."""

    @staticmethod
    def scheme() -> str:
        """The prefix of search path entries that this source serves."""
        return "detkit-parts"

    def available(self) -> bool:
        """Always: the registry needs no folder."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether a slot has this path."""
        _load_plugins()
        return slots.slot_at(tuple(config_path.split("/"))) is not None

    def is_config(self, config_path: str) -> bool:
        """Whether a part, or an option made from a page, has this path."""
        _load_plugins()
        if config_path in current().page_options:
            return True
        *group, name = config_path.split("/")
        slot = slots.slot_at(tuple(group))
        return slot is not None and name in registry.names(slot.family)

    def load_config(self, config_path: str) -> ConfigResult:
        """The node of a part with every default of its constructor."""
        *group, name = config_path.split("/")
        mapping, tag = current().page_options.get(config_path, ({"name": name}, name))
        if group == [pages.CLEARED]:
            return _result(self, mapping, "_global_")
        node = pages.part_node(tuple(group), mapping, tag)
        current().origins.note(config_path, in_both(mapping, node), current().origins.file_of(tag))
        return _result(self, node, None)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names of the parts, and of the slots, under a group."""
        slot = slots.slot_at(tuple(config_path.split("/")))
        if slot is None:
            return []
        names = [] if results_filter == ObjectType.GROUP else registry.names(slot.family)
        if results_filter != ObjectType.CONFIG:
            outer = config_path.split("/")
            inner = registry.slot_names(slot.family) if len(outer) < _DEEPEST_LISTED else []
            names = [*names, *(name for name in inner if name not in outer)]
        return sorted(set(names))


class DetkitSearchPath(SearchPathPlugin):
    """Puts the user's pages, detkit's pages and the registry on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append all sources, pages before parts, if detkit composes and not another program."""
        if not is_composing():
            return
        for folder in page_folders():
            search_path.append("detkit", f"{PageSource.scheme()}://{folder}")
        search_path.append("detkit", f"{PartSource.scheme()}://registry")


@functools.cache
def _load_plugins() -> None:
    """Load the user's plugins in processes in which Hydra launchers compose."""
    registry.load_plugins()


def register_hydra_plugins() -> None:
    """Make the sources and the search path known to Hydra; calling it again is harmless."""
    for plugin in (PageSource, PartSource, DetkitSearchPath):
        Plugins.instance().register(plugin)
    publish_sweep_options()


def root_node(name: str, mapping: dict[str, Any]) -> dict[str, Any]:
    """A root page with the defaults of every root argument that is not a slot or block."""
    schema = arguments(slots.ROOTS[name]).values()
    plain = [a for a in schema if not (a.slot or a.block)]
    defaults = {a.name: pages.default_value(a) for a in plain}
    values = {key: value for key, value in current().root_values.items() if key in defaults}
    entries = _choosable(mapping.get("defaults", []))
    return pages.tuning_node((), {**defaults, **values, **mapping, "defaults": entries}, name)


def _choosable(entries: list[Any]) -> list[Any]:
    """A root's defaults, without the choice `checkpoint` of parts that the checkpoint lacks."""
    return [
        {group: None}
        if isinstance(entry, dict)
        and (group := next(iter(entry)))
        and entry[group] == pages.CHECKPOINT
        and f"{group}/{pages.CHECKPOINT}" not in current().page_options
        else entry
        for entry in entries
    ]


def read_page(file: Path, text: str) -> dict[str, Any]:
    """A page's mapping, interpolations kept.

    Raises:
        ConfigError: An interpolation cannot be read.
    """
    try:
        return copy.deepcopy(_content(text))
    except (OmegaConfBaseException, ValueError) as error:
        message = " ".join(str(error).split("full_key")[0].split())
        raise ConfigError(
            [f"{display_path(file)}: this is not a valid page: {message}."]
        ) from error


@functools.lru_cache(maxsize=256)
def _content(text: str) -> dict[str, Any]:
    """A page's mapping; kept because each job of a sweep reads the same pages again."""
    content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    return {str(key): value for key, value in dict(content).items()}  # type: ignore[arg-type]


def _require_group(path: tuple[str, ...], file: Path) -> None:
    """Raise ConfigError for a page whose keys would have no place in the configuration."""
    if len(path) > 1 and path[0] not in (*slots.root_arguments(), "hydra"):
        raise ConfigError(
            [
                f"{display_path(file)}: the first line of a page in the folder '{path[0]}' must be "
                "'# @package _global_', so that its keys start at the root of the configuration."
            ]
        )


def _inherits(mapping: dict[str, Any]) -> bool:
    """Whether a page starts from another page of its own group."""
    entries = mapping.get("defaults") or []
    return any(isinstance(entry, str) and entry != "_self_" for entry in entries)


def _result(source: ConfigSource, node: dict[str, Any], package: str | None) -> ConfigResult:
    return ConfigResult(
        provider=source.provider,
        path=source.full_path(),
        config=OmegaConf.create(node),
        header={"package": package},
    )
