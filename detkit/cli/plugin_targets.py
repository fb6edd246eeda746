"""Find the parts that a path, a plugin or a name refers to."""

from __future__ import annotations

from pathlib import Path

from detkit import registry
from detkit.config.part_pages import all_names, find_part
from detkit.errors import UserError, did_you_mean
from detkit.files import display_path
from detkit.plugin_files import failure_text


def parts_of_target(target: str) -> tuple[list[registry.Part], str | None]:
    """The parts that a path or name refers to, or the reason why the plugin cannot be loaded.

    Raises:
        UserError: The target is unknown or ambiguous.
    """
    loaded = registry.load_plugins()
    path = Path(target).expanduser()
    family, _, name = target.partition("/")
    if family in registry.FAMILIES and name and (name in all_names(family) or not path.exists()):
        return [find_part(family, name)], None
    named = [family for family in registry.FAMILIES if target in all_names(family)]
    if not named and (path.exists() or path.suffix == ".py"):
        return _of_path(path)
    if len(named) > 1:
        choices = ", ".join(f"{family}/{target}" for family in named)
        raise UserError(f"several families have a part '{target}': write one of {choices}.")
    if named:
        return [find_part(named[0], target)], None
    for plugin in (*loaded, *registry.plugin_failures):
        if target in (plugin, Path(plugin).stem):
            return _of_plugin(plugin)
    registry.load_plugins([target])
    error = registry.plugin_failures.get(target)
    if isinstance(error, ModuleNotFoundError) and error.name == target.partition(".")[0]:
        del registry.plugin_failures[target]
        names = sorted({name for family in registry.FAMILIES for name in all_names(family)})
        raise UserError(
            f"there is no part, module or file '{target}'.{did_you_mean(target, names)} `detkit "
            f"list` shows the parts; a file is named by its path.{registry.failed_plugins()}"
        )
    return _of_plugin(target)


def _of_path(path: Path) -> tuple[list[registry.Part], str | None]:
    """The parts of a file or folder, which is loaded if needed."""
    if not path.exists() or (path.is_dir() and not (path / "__init__.py").is_file()):
        problem = (
            "it has no __init__.py, so it is not a plugin" if path.exists() else "no such file"
        )
        plugins = [display_path(plugin) for plugin in registry.load_plugins()]
        raise UserError(
            f"'{path}': {problem}.{did_you_mean(str(path), plugins)} Name a Python file or a "
            "folder with __init__.py."
        )
    resolved = path.resolve()
    for plugin in (*registry.load_plugins(), *registry.plugin_failures):
        if Path(plugin).resolve() == resolved:
            return _of_plugin(plugin)
    registry.load_plugins([str(resolved)])
    return _of_plugin(str(resolved))


def _of_plugin(plugin: str) -> tuple[list[registry.Part], str | None]:
    """The parts that a plugin registered, or the reason why it could not be loaded.

    Raises:
        UserError: The plugin registers no part.
    """
    if plugin in registry.plugin_failures:
        return [], failure_text(plugin, registry.plugin_failures[plugin])
    every = [find_part(family, name) for family in registry.FAMILIES for name in all_names(family)]
    folder = Path(plugin).resolve()
    parts = [p for p in every if p.plugin == plugin or p.file.resolve().is_relative_to(folder)]
    if not parts:
        raise UserError(
            f"plugin '{display_path(plugin)}' registers no part: put @register(FAMILY, NAME) "
            "before a class or function, and import its module in __init__.py."
        )
    return parts, None
