"""The splits of a Pascal VOC data set: lists of names, or folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from detkit.data.readers.folder_checks import (
    files_with_suffix,
    image_files,
    lines_of,
    relative_name,
)
from detkit.data.readers.split_names import SPLIT_WORDS, split_of_path
from detkit.data.readers.voc_files import is_any_page
from detkit.data.splits import role_of
from detkit.errors import DataError

_LIST_FOLDERS = ("ImageSets/Main", "*/ImageSets/Main", "*/*/ImageSets/Main", "ImageSets")
_SUFFIXES = (".xml", ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")


class NameTable:
    """The XML files of a data set, for look-up by the names in a list."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._names):
            self._by_stem[name.rpartition("/")[2].casefold()].append(name)

    def find(self, line: str) -> str | None:
        """Find the XML file that a line of a list names; None if there is none.

        A line is a name with or without folders and suffix, or a pair of image and XML file.

        Raises:
            DataError: Several XML files match.
        """
        if line in self._names:
            return line
        words = line.split()
        pair = words[-1] if len(words) > 1 and words[-1].lower().endswith(".xml") else line
        for text in (pair, _without_suffix(pair)):
            parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
            best = self._by_stem.get(parts[-1].casefold(), []) if parts else []
            best = [name for name in best if name.rpartition("/")[2] == parts[-1]] or best
            if len(best) > 1:
                shared = {name: _common_ending(name.split("/"), parts) for name in best}
                best = [name for name in best if shared[name] == max(shared.values())]
            if len(best) > 1:
                raise DataError(
                    f"the line '{line}' in a split's list could mean more than one XML file: "
                    f"{', '.join(best[:3])}. Add the folder to the line."
                )
            if best:
                return best[0]
        return None

    def is_plain(self, file: Path) -> bool:
        """Whether a list holds names only; the list of a class has a second column."""
        first = next(iter(lines_of(file)), "")
        if not first:
            return file.stem in SPLIT_WORDS  # a declared but empty split
        return len(first.split()) == 1 or self.find(first) is not None


def splits_of(path: Path, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """The lines of each split's list, or the names of the XML files in each split's folder.

    Lists are those in ImageSets/Main, at any depth, or train.txt and the like in the data folder.
    If there are only lists of classes ("cat_train.txt"), the lists of a split are joined.

    Args:
        path: The folder of the data set.
        files: Its XML files by name.
    """
    table = NameTable(files)
    lists: dict[str, list[str]] = defaultdict(list)
    of_classes: dict[str, list[str]] = defaultdict(list)
    for file in _list_files(path):
        beside = _files_beside(path, file, files)
        if beside.is_plain(file):
            lists[file.stem] += [beside.find(line) or line for line in lines_of(file)]
        elif (split := file.stem.rpartition("_")[2]) in SPLIT_WORDS:
            names = [line.rsplit(maxsplit=1)[0] for line in lines_of(file)]
            of_classes[split] += [beside.find(name) or name for name in names]
    if not lists:
        lists = of_classes or _listed_beside(path, table)
    if len(lists) == 1 and not set(lists) & SPLIT_WORDS and _covers(lists, table, files):
        return {}  # such as CVAT's default.txt
    if lists:
        return {split: list(dict.fromkeys(lines)) for split, lines in lists.items()}
    return _by_folder(path, files) or _by_image_folder(path, files)


def refuse_empty(path: Path, split: str, lines: Sequence[str]) -> None:
    """Raise DataError for a declared split without entries.

    Args:
        path: The folder of the data set.
        split: The name of the split.
        lines: The entries of its list or folder.
    """
    if not lines:
        raise DataError(
            f"the split '{split}' of '{path}' is empty: its list or folder has no XML file. Add "
            "files, or remove the split."
        )


def list_folders(path: Path) -> list[Path]:
    """The folders with a data set's lists; several if it holds VOC2007 and VOC2012."""
    for pattern in _LIST_FOLDERS:
        folders = sorted(
            folder for folder in path.glob(pattern) if files_with_suffix(folder, ".txt")
        )
        if folders:
            return folders
    return []


def _list_files(path: Path) -> list[Path]:
    return [file for folder in list_folders(path) for file in files_with_suffix(folder, ".txt")]


def _files_beside(path: Path, file: Path, files: Mapping[str, Path]) -> NameTable:
    """The XML files of a list's own data set: VOC2007 and VOC2012 may have equal names."""
    folder = relative_name(file.parent, path).partition("ImageSets")[0]
    return NameTable(name for name in files if name.startswith(folder))


def _listed_beside(path: Path, table: NameTable) -> dict[str, list[str]]:
    """The lists directly in the data folder, if most of their first lines name XML files."""
    lists = {}
    for file in files_with_suffix(path, ".txt"):
        if file.stem in SPLIT_WORDS:
            lines = lines_of(file)
            first = lines[:20]
            if sum(table.find(line) is not None for line in first) > len(first) / 2:
                lists[file.stem] = lines
    return lists


def _covers(lists: Mapping[str, Sequence[str]], table: NameTable, names: Iterable[str]) -> bool:
    return {table.find(line) for lines in lists.values() for line in lines} >= set(names)


def _by_folder(path: Path, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """The XML files by the split that their folders state, if they are VOC annotations."""
    splits: dict[str, list[str]] = defaultdict(list)
    for name in files:
        split = split_of_path(PurePosixPath(name).parent / "_")
        if split is not None:
            splits[split].append(name)
    annotated = _if_divided(
        {split: names for split, names in splits.items() if is_any_page([files[n] for n in names])}
    )
    if annotated and not any(role_of(split) == "val" for split in annotated):
        stated = {split_of_path(image.relative_to(path)) for image in image_files(path)}
        # validation images without XML files raise an error when they are read
        annotated |= {split: [] for split in stated if split and role_of(split) == "val"}
    return annotated


def _by_image_folder(path: Path, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """The XML files by the split that the folder of their image states."""
    splits: dict[str, set[str]] = defaultdict(set)
    for image in image_files(path):
        split = split_of_path(image.relative_to(path).parent / "_")
        if split is not None:
            splits[split].add(image.stem)
    divided = _if_divided({split: sorted(stems) for split, stems in splits.items()})
    stems = {name: name.rpartition("/")[2] for name in files}
    return {
        split: [name for name, stem in stems.items() if stem in splits[split]] for split in divided
    }


def _if_divided(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    """Splits, unless there is only one and it is not the training split."""
    return splits if len(splits) > 1 or "train" in splits else {}


def _without_suffix(text: str) -> str:
    return text.rpartition(".")[0] if text.lower().endswith(_SUFFIXES) else text


def _common_ending(first: Sequence[str], second: Sequence[str]) -> int:
    pairs = list(zip(reversed(first), reversed(second), strict=False))
    return next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), len(pairs))
