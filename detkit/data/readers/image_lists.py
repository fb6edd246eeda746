"""Lists of image files, also with the paths of another machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detkit.data.pairing import BY_ENDING
from detkit.data.readers.folders import image_files, lines_of, relative_name
from detkit.data.splits import role_of
from detkit.errors import DataError
from detkit.image_files import is_image
from detkit.structures import Fault

_LEAST_PARTS = 2  # folder and name


class ListedImages(NamedTuple):
    """The images of a list, and a note about those that were matched by the end of their path."""

    images: list[Path]
    notes: list[Fault]


class ImageTable:
    """The images of a data set, found by the end of a path.

    Args:
        root: The folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        files = image_files(root)
        self.names = {str(file) for file in files}
        self._by_name: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for file in files:
            self._by_name[_stem(file)].append(file.relative_to(root).parts)

    def ending_matches(self, name: str) -> list[Path]:
        """The images that share the longest ending with a path; several if that is ambiguous.

        An image that shares only its name has to be the only one of that name, and must not be
        in the folder of another split.
        """
        parts = Path(name).parts
        candidates = self._by_name.get(_stem(Path(name)), [])
        if is_image(Path(name)):
            candidates = [c for c in candidates if c[-1].casefold() == parts[-1].casefold()]
        shared = [_shared_ending(parts, candidate) for candidate in candidates]
        longest = max(shared, default=0)
        if longest < _LEAST_PARTS and len(candidates) == 1 and _roles_differ(parts, candidates[0]):
            return []
        return [
            self.root.joinpath(*candidate)
            for candidate, count in zip(candidates, shared, strict=True)
            if count == longest
        ]


def _stem(file: Path) -> str:
    return (file.stem if is_image(file) else file.name).casefold()


def _shared_ending(first: Sequence[str], second: Sequence[str]) -> int:
    """How many folders before their names two paths share, the name itself included."""
    count = 1
    for one, other in zip(reversed(first[:-1]), reversed(second[:-1]), strict=False):
        if one.casefold() != other.casefold():
            break
        count += 1
    return count


def _roles_differ(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two paths lead through folders of different splits."""
    roles = [{role for part in parts[:-1] if (role := role_of(part))} for parts in (first, second)]
    return bool(roles[0] and roles[1] and roles[0] != roles[1])


def listed_images(file: Path, bases: Sequence[Path], table: ImageTable) -> ListedImages:
    """The images that the lines of a file name.

    A path is relative to one of the bases. If there is no such file, it may be of another machine:
    then the image with the same ending is meant.

    Args:
        file: The list.
        bases: Folders that its paths may be relative to.
        table: The images of the data set.

    Raises:
        DataError: Several images have the ending of a path.
    """
    images: list[Path] = []
    matched: list[str] = []
    for number, line in enumerate(lines_of(file), start=1):
        image = _existing(line, bases, table) or _existing(line.replace("\\", "/"), bases, table)
        if image is None:
            name = line.replace("\\", "/")
            matches = table.ending_matches(name)
            if len(matches) > 1:
                either = " or ".join(f"'{relative_name(match, table.root)}'" for match in matches)
                raise DataError(
                    f"'{file}' line {number}: '{line}' does not exist, and may mean {either}: "
                    "correct the path."
                )
            image = matches[0] if matches else bases[0] / name
            matched += [f"{line} -> {relative_name(image, table.root)}"] * len(matches)
        images.append(image)
    notes = [_note(file, table.root, matched, len(images))] if matched else []
    return ListedImages(images, notes)


def _note(file: Path, root: Path, matched: list[str], count: int) -> Fault:
    detail = f"{len(matched):,} of {count:,}, such as {matched[0]}"
    return Fault("list", BY_ENDING, relative_name(file, root), detail=detail, left_out=False)


def _existing(name: str, bases: Sequence[Path], table: ImageTable) -> Path | None:
    """The image of a path that exists, in the spelling of the table."""
    for base in bases:
        image = base / name
        if str(image) in table.names:
            return image
        if (".." in name or Path(name).is_absolute()) and image.is_file():
            resolved = image.resolve()
            root = table.root.resolve()
            inside = table.root / resolved.relative_to(root) if _is_in(resolved, root) else image
            return inside if str(inside) in table.names else image
    return None


def _is_in(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder)
