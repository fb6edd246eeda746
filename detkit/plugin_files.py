"""Plugins on disk: where they are looked for, how one is imported, which pages it brings.

`detkit.registry` keeps what they register.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from detkit.errors import UserError
from detkit.files import display_path

ENTRY_POINT_GROUP = "detkit.plugins"
FOLDER = "plugins"
PAGES = "conf"
MODULE = "detkit_plugin_"  # what the modules of files and folders are called
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Plugin:
    """One plugin that was found or named.

    Attributes:
        name: How it is named in records: a module, or a path.
        origin: Where it is from, in words.
        path: Its file or folder; None for a module.
    """

    name: str
    origin: str
    path: Path | None = None


def found(listed: Iterable[str] = ()) -> Iterator[Plugin]:
    """Those of installed packages, of the folder `plugins/`, of DETKIT_PLUGINS, then those listed.

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
    """Those of the packages on a search path, which is long to read and asked for often."""
    from importlib.metadata import entry_points  # costs 60 ms, so only where plugins are loaded

    points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.module)
    return [
        Plugin(
            point.module, f"package {point.dist.name} {point.dist.version}" if point.dist else ""
        )
        for point in points
    ]


def _inside(folder: Path) -> list[Path]:
    """Python files and packages of a folder, but not those that begin with an underscore."""
    if not folder.is_dir():
        return []
    files = [path for path in folder.glob("*.py") if not path.name.startswith("_")]
    return sorted([*files, *(path.parent for path in folder.glob("*/__init__.py"))])


def _kind(path: Path) -> str:
    return "file" if path.suffix == ".py" else "folder"


def import_plugin(plugin: Plugin, registered: Iterable[str]) -> tuple[str, ...]:
    """Import a plugin's module; a file that is imported already, as a test's package, is not again.

    Args:
        plugin: The plugin.
        registered: Modules of the parts that are registered.

    Returns:
        Of a file that was imported already, those of its modules that are registered.

    Raises:
        FileNotFoundError: There is no Python file at its path.
        Exception: Whatever its code raises.
    """
    if plugin.path is None:
        importlib.import_module(plugin.name)
        return ()
    is_folder = plugin.path.is_dir()
    source = plugin.path / "__init__.py" if is_folder else plugin.path
    if not source.is_file():
        raise FileNotFoundError(f"no Python file at {source}")
    there = [
        name
        for name, module in list(sys.modules.items())
        if getattr(module, "__file__", None) == str(source)
    ]
    known = {n for n in registered for own in there if n == own or n.startswith(f"{own}.")}
    if not known:
        _execute(_free_name(plugin.path, there), source, is_folder)
    return tuple(known)


def _free_name(path: Path, there: list[str]) -> str:
    """The module's name; two plugins of one name in different folders get different ones."""
    name = MODULE + (path.name if path.is_dir() else path.stem).replace(".", "_")
    if name in sys.modules and name not in there:
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
    """Take a module and those inside it out of what is imported."""
    for known in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[known]


def is_file(module: str, file: Path) -> bool:
    """Whether a module is of this file, which a test may import by another name than detkit."""
    return getattr(sys.modules.get(module), "__file__", None) == str(file)


def pages_of(plugin: Plugin) -> Path | None:
    """The folder of pages that a plugin brings, or None; found without importing it.

    A folder has them in its `conf`, a package, or a module of one, in the package's `conf`.
    """
    folder = plugin.path if plugin.path is not None else _package_folder(plugin.name)
    pages = None if folder is None or folder.suffix == ".py" else folder / PAGES
    return pages if pages is not None and pages.is_dir() else None


def _package_folder(module: str) -> Path | None:
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a name without dots, which imports nothing
    except ValueError:  # a module without a spec, such as __main__
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    for name in inner:
        folder = folder / name if (folder / name).is_dir() else folder
    return folder


def failure_text(name: str, error: BaseException) -> str:
    """Which plugin could not be loaded, why, at which line of its own, and what to do about it."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(said.split()).rstrip(".") or "it gave no message"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    place = _place(error)
    where = f" ({place})" if place else ""
    return (
        f"plugin '{display_path(name)}' could not be loaded: {kind}{text}{where}.{_remedy(error)}"
    )


def _remedy(error: BaseException) -> str:
    if isinstance(error, UserError):  # says it itself
        return ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f" Install '{error.name.split('.')[0]}' beside detkit, or leave the import out."
    return " Correct it there; a file whose name begins with an underscore is not loaded."


def _place(error: BaseException) -> str:
    """`file:line` of the last line on the way to an error that is the plugin's own."""
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
    folder = Path(frames[0].filename).parent  # the plugin's; what follows may be of libraries
    last = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)][-1]
    return f"{display_path(last.filename)}:{last.lineno}"
