"""The pages of each group, with their opening comment. Imports neither torch nor hydra."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from detkit import registry
from detkit.config.folders import conf_folder, page_folders
from detkit.files import display_path

# Groups whose options are pages, and how to choose a page.
GROUPS: dict[str, str] = {
    "model": "whole detectors, chosen with model=NAME",
    "experiment": "whole trainings, chosen with experiment=NAME",
    "data": "where the images come from, chosen with data=NAME; data.path=FOLDER alone is folder",
    "augmentation": "transforms of training and validation, chosen with augmentation=NAME",
    "callbacks": "sets of callbacks, chosen with callbacks=NAME",
    "trainer": "how long and on what, chosen with trainer=NAME",
    "sweep": "searches, chosen with detkit sweep sweep=NAME",
    "debug": "trainings to try things out, chosen with debug=NAME",
}
_COMMAND = re.compile(r"^(make \w+, or )?detkit .*?: (?=\S)")


class Page(NamedTuple):
    """A page that a group's key can name.

    Attributes:
        name: The value that selects it.
        text: The first sentence of its comment, without the command at its start.
        origin: `detkit`, or the folder of another author's pages.
    """

    name: str
    text: str
    origin: str


def pages_of(group: str) -> list[Page]:
    """The pages of a group by name; of several with one name, the one that Hydra takes."""
    builtin = conf_folder().resolve()
    pages = []
    for name, (folder, file) in sorted(_files(group).items()):
        origin = "detkit" if folder == builtin else display_path(folder)
        pages.append(Page(name, first_sentence(file), origin))
    return pages


def _files(group: str) -> dict[str, tuple[Path, Path]]:
    """The folder of pages and the file of each page; the first folder wins."""
    files: dict[str, tuple[Path, Path]] = {}
    for folder in page_folders():
        for file in (folder / group).rglob("*.yaml"):
            inner = file.relative_to(folder / group).with_suffix("")
            if not registry.FAMILIES.keys() & set(inner.parts[:-1]):  # model/head is a part's group
                files.setdefault(inner.as_posix(), (folder, file))
    return files


def page_groups() -> list[str]:
    """The groups that have a page: detkit's own, then the user's."""
    names = [path.name for folder in page_folders() for path in folder.iterdir() if path.is_dir()]
    user_groups = sorted(set(names) - GROUPS.keys() - {"hydra"})
    return [group for group in (*GROUPS, *user_groups) if _files(group)]


def first_sentence(file: Path) -> str:
    """The first sentence of a page's opening comment; empty if there is none."""
    comment = " ".join(opening_comment(file).splitlines())
    about = _COMMAND.sub("", comment)
    if about != comment:
        about = about[:1].upper() + about[1:]
    return re.split(r"(?<=\.)\s", about, maxsplit=1)[0]


def opening_comment(file: Path) -> str:
    """The comment at the start of a page, without its marks; empty if there is none."""
    lines: list[str] = []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.lstrip("# ").rstrip())
    return "\n".join(lines)
