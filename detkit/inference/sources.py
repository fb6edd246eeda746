"""Image files to predict on, and names for the files that are written about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from unicodedata import category
from urllib.parse import quote

from detkit.errors import UserError
from detkit.image_files import files_below, images_among
from detkit.text import counted

_CONTROL = ("Cc", "Zl", "Zp")  # Unicode's controls, line and paragraph separators


def find_images(source: str) -> list[Path]:
    """The image files of a source: a file, a folder (with its sub-folders) or a pattern.

    They are sorted by name, numbers by value. A single file is used whatever its name; folders and
    patterns leave out hidden files and files that are not images by suffix or content.

    Raises:
        UserError: There are none.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [file for file in files_below(path) if file.is_file()]
        looked = f"the folder holds {_counted(files)}"
    else:
        files = [p for p in map(Path, glob(str(path), recursive=True)) if p.is_file()]
        looked = f"there is no such file or folder; as a pattern it fits {_counted(files)}"
    images = images_among(files)
    if not images:
        among = ", none of them an image" if files else ""
        raise UserError(
            f"source={source}: {looked}{among}. Give an image, a folder of images, or a pattern "
            f"in quotes such as 'photos/*.jpg'; images end in .jpg, .png, .webp, .tif and the like."
        )
    return sorted(images, key=natural_order)


def image_names(paths: Sequence[Path]) -> list[str]:
    """A unique name without suffix for each file: its stem, with a number where stems are equal.

    Case does not tell names apart, as on some file systems.

    Control characters, which would act on a terminal that lists the names, are written as `%0A`.
    """
    used: set[str] = set()
    names = []
    for path in paths:
        base = "".join(quote(c) if category(c) in _CONTROL else c for c in path.stem)
        name, number = base, 1
        while name.casefold() in used:
            number += 1
            name = f"{base}-{number}"
        used.add(name.casefold())
        names.append(name)
    return names


def output_names(paths: Sequence[Path]) -> list[str]:
    """The name of the picture of each file."""
    return [f"{name}.png" for name in image_names(paths)]


def _counted(files: Sequence[Path]) -> str:
    return counted(len(files), "file") if files else "no files"


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A key that sorts `image2` before `image10`: pieces as (0, letters) or (value, digits)."""
    pieces = re.split(r"([0-9]+)", str(path))
    return [(int(piece) + 1, piece) if piece.isdecimal() else (0, piece) for piece in pieces]
