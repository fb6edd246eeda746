"""Plugins on disk: find them, import them, and find the configuration pages that they bring.

`detkit.registry` holds the parts that they register.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from detkit.errors import UserError
from detkit.files import display_path

ENTRY_POINT_GROUP = "detkit.plugins"
FOLDER = "plugins"
PAGES = "conf"
MODULE = "detkit_plugin_"  # prefix of the module names of plugin files and folders
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Plugin:
    """A plugin that detkit found or the user named.

    Attributes:
        name: Its name in records: a module or a path.
        origin: A description of its source, for listings.
        path: Its file or folder; None for a module.
    """

    name: str
    origin: str
    path: Path | None = None


def discover(listed: Iterable[str] = ()) -> Iterator[Plugin]:
    """Yield plugins of installed packages, the folder `plugins/`, DETKIT_PLUGINS, then listed ones.

    Args:
        listed: Modules, files or folders.
    """
    yield from _installed()
    folder = Path(os.environ.get("DETKIT_PLUGIN_DIR", FOLDER)).resolve()
    yield from (Plugin(str(path), f"{_kind(path)} {path.name}", path) for path in _inside(folder))
    environment = os.environ.get("DETKIT_PLUGINS", "").split(os.pathsep)
    for name in filter(None, (*environment, *listed)):
        path = Path(name)
        is_path = path.suffix == ".py" or os.sep in name or (path / "__init__.py").is_file()
        yield Plugin(name, f"plugin {name}", path.resolve() if is_path else None)


def _installed() -> list[Plugin]:
    return [] if os.environ.get("DETKIT_DISABLE_ENTRYPOINTS") else _on_path(tuple(sys.path))


@cache
def _on_path(_: tuple[str, ...]) -> list[Plugin]:
    """The plugins of packages on a search path; cached because reading the path is slow."""
    from importlib.metadata import entry_points  # takes 60 ms to import

    points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.module)
    return [
        Plugin(
            point.module, f"package {point.dist.name} {point.dist.version}" if point.dist else ""
        )
        for point in points
    ]


def _inside(folder: Path) -> list[Path]:
    """The Python files and packages in a folder, except files that begin with an underscore."""
    if not folder.is_dir():
        return []
    files = [path for path in folder.glob("*.py") if not path.name.startswith("_")]
    return sorted([*files, *(path.parent for path in folder.glob("*/__init__.py"))])


def _kind(path: Path) -> str:
    return "file" if path.suffix == ".py" else "folder"


def import_plugin(plugin: Plugin, registered: Iterable[str]) -> tuple[str, ...]:
    """Import a plugin's module, unless its file is already imported, as the package of a test is.

    Args:
        plugin: The plugin.
        registered: Modules that have registered parts.

    Returns:
        The plugin's modules in `registered` if its file was already imported; else nothing.

    Raises:
        FileNotFoundError: The plugin's path has no Python file.
        Exception: Any exception of the plugin's code.
    """
    if plugin.path is None:
        importlib.import_module(plugin.name)
        return ()
    is_folder = plugin.path.is_dir()
    source = plugin.path / "__init__.py" if is_folder else plugin.path
    if not source.is_file():
        raise FileNotFoundError(f"no Python file at {source}")
    modules = [
        name
        for name, module in list(sys.modules.items())
        if getattr(module, "__file__", None) == str(source)
    ]
    already_imported = {
        name
        for name in registered
        if any(name == module or name.startswith(f"{module}.") for module in modules)
    }
    if not already_imported:
        _execute(_free_name(plugin.path, modules), source, is_folder)
    return tuple(already_imported)


def _free_name(path: Path, modules: list[str]) -> str:
    """A module name; plugins with the same name in different folders get different ones."""
    name = MODULE + (path.name if path.is_dir() else path.stem).replace(".", "_")
    if name in sys.modules and name not in modules:
        name += f"_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    return name


def _execute(name: str, source: Path, is_folder: bool) -> None:
    search = [str(source.parent)] if is_folder else None
    spec = importlib.util.spec_from_file_location(name, source, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no Python file at {source}")
    _forget(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        _forget(name)
        raise


def _forget(name: str) -> None:
    """Remove a module and its submodules from the imported ones."""
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[module]


def is_file(module: str, file: Path) -> bool:
    """Whether a module comes from a file; tests may import it by another name than detkit does."""
    return getattr(sys.modules.get(module), "__file__", None) == str(file)


def pages_of(plugin: Plugin) -> Path | None:
    """The folder of configuration pages that a plugin brings, or None; does not import the plugin.

    It is `conf` in the plugin's folder, or in its package.
    """
    folder = plugin.path if plugin.path is not None else _package_folder(plugin.name)
    pages = None if folder is None or folder.suffix == ".py" else folder / PAGES
    return pages if pages is not None and pages.is_dir() else None


def _package_folder(module: str) -> Path | None:
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # imports nothing for a name without dots
    except ValueError:  # a module without a spec, such as __main__
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    for name in inner:
        folder = folder / name if (folder / name).is_dir() else folder
    return folder


def failure_text(name: str, error: BaseException) -> str:
    """The message for a plugin that failed to load: its error, the line in its code, a remedy."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(message.split()).rstrip(".") or "it gave no message"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    location = _location(error)
    where = f" ({location})" if location else ""
    return (
        f"plugin '{display_path(name)}' could not be loaded: {kind}{text}{where}.{_remedy(error)}"
    )


def _remedy(error: BaseException) -> str:
    if isinstance(error, UserError):  # names its own remedy
        return ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f" Install '{error.name.split('.')[0]}' beside detkit, or remove the import."
    return " Fix it there; detkit ignores files whose names begin with an underscore."


def _location(error: BaseException) -> str:
    """`file:line` of the last line of the plugin's own code in a traceback."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{display_path(error.filename)}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and not Path(frame.filename).is_relative_to(_HERE)
        and frame.filename != importlib.__file__
    ]
    if not frames:
        return ""
    folder = Path(frames[0].filename).parent  # the plugin's; deeper frames may belong to libraries
    last = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)][-1]
    return f"{display_path(last.filename)}:{last.lineno}"


def part_names(config: Any) -> set[Any]:
    """Every value of a key `name` in a configuration; these include the names of its parts."""
    nodes: list[Any] = [config]
    names: set[Any] = set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping):
            names.add(node.get("name"))
            nodes += node.values()
        nodes += node if isinstance(node, list) else []
    return names
