"""Pages that define a part: `head: {name: fcos}` means conf/model/head/fcos.yaml.

Such a page names a registered part and the parts in its slots. Imports neither torch nor hydra.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from detkit import registry
from detkit.config.folders import conf_folder, page_folders
from detkit.errors import UserError


def page_file(group: tuple[str, ...], name: Any) -> Path | None:
    """The page of this name in a config group, or None; the first folder of pages wins."""
    if not isinstance(name, str):
        return None
    files = (folder.joinpath(*group, f"{name}.yaml") for folder in page_folders())
    return next((file for file in files if file.is_file()), None)


def is_page(group: tuple[str, ...], name: Any) -> bool:
    """Whether a config group has a page of this name."""
    return page_file(group, name) is not None


def part_page(family: str, name: Any) -> Path | None:
    """The page that defines a part of a family, or None."""
    return page_file(("model", family), name)


def page_names(family: str) -> list[str]:
    """The names of the pages that define parts of a family."""
    groups = (folder / "model" / family for folder in page_folders())
    names = {file.stem for group in groups for file in group.glob("*.yaml")}
    known = registry.names(family)
    return sorted(n for n in names if part_node(family, {"name": n}).get("name") in known)


def all_names(family: str) -> list[str]:
    """The names that a slot of a family takes: pages and registered parts."""
    return sorted({*page_names(family), *registry.names(family)})


def find_part(family: str, name: str) -> registry.Part:
    """Find a registered part, or the page that defines one.

    Raises:
        UserError: There is neither.
    """
    if name not in registry.names(family) and (file := part_page(family, name)):
        folder = next(f for f in page_folders() if file.is_relative_to(f))
        origin = "detkit" if folder == conf_folder().resolve() else f"folder {folder.parent.name}"
        return registry.Part(family, name, "", file, origin)
    if name not in registry.names(family):
        raise UserError(unknown_part(family, name))
    return registry.part(family, name)


def unknown_part(family: str, name: str) -> str:
    """The message for a name that neither a part nor a page of the family has."""
    return registry.unknown_part(family, name, page_names(family))


def part_node(family: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The part that a mapping names through a page, with the mapping's values; others as they are.

    Composing replaces names of pages through Hydra; this serves parts that come from elsewhere.
    """
    name = mapping.get("name")
    file = None if name in registry.names(family) else part_page(family, name)
    if file is None:
        return dict(mapping)
    page = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    for base in page.pop("defaults", []):
        page = _merged(part_node(family, {"name": base}), page)
    return _merged(page, {key: value for key, value in mapping.items() if key != "name"})


def _merged(part: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A part's values with changes: a named part replaces a slot's, other mappings tune it."""
    merged = dict(part)
    for key, value in changes.items():
        current = merged.get(key)
        if isinstance(value, Mapping) and "name" not in value and current is not None:
            named = {"name": current} if isinstance(current, str) else current
            merged[key] = _merged(named, value)
        else:
            merged[key] = value
    return merged
