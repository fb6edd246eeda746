"""Hydra plugins that serve pages and registered parts as config groups; Hydra's public API only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from detkit import registry
from detkit.config import pages
from detkit.config.origins import origins
from detkit.config.signatures import arguments
from detkit.errors import ConfigError

USER_FOLDER_VARIABLE = "DETKIT_CONFIG_DIR"
RUNS_CODE = ("_target_", "()")  # keys by which Hydra and logging call what a config names


def conf_folder() -> Path:
    """The folder of detkit's own pages: inside an installed wheel, else beside the package."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_conf"
    return installed if installed.is_dir() else package.parent / "conf"


def page_folders() -> list[Path]:
    """Where pages are looked for, first match wins: the user's folders, then detkit's own."""
    named = os.environ.get(USER_FOLDER_VARIABLE, "").split(os.pathsep)
    folders = [Path(name) for name in named if name] + [Path("conf"), conf_folder()]
    found = [folder.resolve() for folder in folders if folder.is_dir()]
    return list(dict.fromkeys(found))


class PageSource(ConfigSource):
    """YAML pages of one folder, each rewritten as `detkit.config.pages` says."""

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
        return self._file(config_path).is_file()

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a page and rewrite it.

        Raises:
            ConfigError: The page is not a YAML mapping, includes itself, or names something to be
                run.
        """
        file = self._file(config_path)
        if not file.is_file():
            raise ConfigLoadError(f"no page {file}")
        text = file.read_text(encoding="utf-8")
        mapping = read_page(file, text)
        path = tuple(config_path.split("/"))
        header = self._get_header_dict(text)
        package = header["package"]
        is_global = package == "_global_"
        prefix = () if is_global or len(path) == 1 else path[:-1]
        origins.record(file, text, prefix)
        tag = "-".join(path)
        if not prefix and isinstance(mapping.get("plugins"), list):
            registry.load_plugins(mapping["plugins"])
        if len(path) == 1 and path[0] in pages.ROOTS:
            node = root_node(path[0], mapping)
        elif is_global or _inherits(mapping, config_path):
            node = pages.tuning_node(prefix, mapping, tag)
        else:
            page_defaults = mapping.pop("defaults", None) or []
            node = pages.part_node(prefix, mapping, tag)
            node["defaults"] = [*page_defaults, *node.get("defaults", [])]
        return _result(self, node, package)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names of the pages and folders under a group."""
        folder = Path(self.path) / config_path
        found: list[str] = []
        for path in sorted(folder.iterdir()):
            if path.is_dir() and results_filter != ObjectType.CONFIG:
                found.append(path.name)
            if path.suffix == ".yaml" and results_filter != ObjectType.GROUP:
                found.append(path.stem)
        return sorted(set(found))


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
        return pages.slot_at(tuple(config_path.split("/"))) is not None

    def is_config(self, config_path: str) -> bool:
        """Whether a part, or an option made from a page, has this path."""
        if config_path in pages.page_options:
            return True
        *group, name = config_path.split("/")
        slot = pages.slot_at(tuple(group))
        return slot is not None and name in registry.names(slot.family)

    def load_config(self, config_path: str) -> ConfigResult:
        """The node of a part with every default of its constructor."""
        *group, name = config_path.split("/")
        mapping, tag = pages.page_options.get(config_path, ({"name": name}, name))
        return _result(self, pages.part_node(tuple(group), mapping, tag), None)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names of the parts, and of the slots, under a group."""
        slot = pages.slot_at(tuple(config_path.split("/")))
        if slot is None:
            return []
        found = [] if results_filter == ObjectType.GROUP else registry.names(slot.family)
        if results_filter != ObjectType.CONFIG:
            found = found + registry.slot_names(slot.family)
        return sorted(set(found))


class DetkitSearchPath(SearchPathPlugin):
    """Puts the user's pages, detkit's pages and the registry on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append all sources, pages before parts."""
        for folder in page_folders():
            search_path.append("detkit", f"{PageSource.scheme()}://{folder}")
        search_path.append("detkit", f"{PartSource.scheme()}://registry")


def register_hydra_plugins() -> None:
    """Make the sources and the search path known to Hydra; calling it again is harmless."""
    for plugin in (PageSource, PartSource, DetkitSearchPath):
        Plugins.instance().register(plugin)


def root_node(name: str, mapping: dict[str, Any]) -> dict[str, Any]:
    """A root page with the defaults of every root argument that is not a slot or block."""
    schema = arguments(pages.ROOTS[name]).values()
    plain = [a for a in schema if not (a.slot or a.block)]
    defaults = {a.name: pages.default_value(a) for a in plain}
    kept = {key: value for key, value in pages.root_values.items() if key in defaults}
    return {**defaults, **kept, **mapping, "defaults": _choosable(mapping.get("defaults", []))}


def _choosable(entries: list[Any]) -> list[Any]:
    """A root's defaults; `checkpoint` is no choice where the checkpoint has no such part."""
    return [
        {group: None}
        if isinstance(entry, dict)
        and (group := next(iter(entry)))
        and entry[group] == pages.CHECKPOINT
        and f"{group}/{pages.CHECKPOINT}" not in pages.page_options
        else entry
        for entry in entries
    ]


def read_page(file: Path, text: str) -> dict[str, Any]:
    """A page's mapping, interpolations kept.

    Raises:
        ConfigError: It is not a YAML mapping, or names something to be run.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError([f"{file}: this is not valid YAML: {error}"]) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError([f"{file}: a page must be a mapping of keys to values, got a list"])
    refuse_code(content, str(file))
    return {str(key): value for key, value in content.items()}


def refuse_code(content: Any, where: str) -> None:
    """Raise ConfigError when a mapping holds a key by which Hydra or logging calls something."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key in RUNS_CODE:
                raise ConfigError(
                    [
                        f"{where}: '{key}: {value}' is refused: a configuration builds registered "
                        "parts by `name` and nothing else; register a part to use your own code"
                    ]
                )
            refuse_code(value, where)
    elif isinstance(content, list):
        for value in content:
            refuse_code(value, where)


def _inherits(mapping: dict[str, Any], config_path: str) -> bool:
    """Whether a page starts from another page of its own group."""
    entries = mapping.get("defaults") or []
    inherited = [entry for entry in entries if isinstance(entry, str) and entry != "_self_"]
    if config_path.rsplit("/", 1)[-1] in inherited:
        raise ConfigError(
            [f"page '{config_path}' includes itself in its defaults: remove that line"]
        )
    return bool(inherited)


def _result(source: ConfigSource, node: dict[str, Any], package: str | None) -> ConfigResult:
    return ConfigResult(
        provider=source.provider,
        path=source.full_path(),
        config=OmegaConf.create(node),
        header={"package": package},
    )
