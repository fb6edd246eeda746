"""Find the COCO files of a folder, and the split of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from detkit.data.readers.annotation_kinds import has_coco_lists
from detkit.data.readers.split_names import split_of_path
from detkit.data.splits import role_of
from detkit.image_files import files_below

# Names that COCO's exporters use. Such a file counts even if its content is broken, so that the
# error says what is wrong with it.
_KNOWN = re.compile(
    r"(instances(_.*)?|annotations|coco|_annotations\.coco|(mini)?val(id(ation)?)?|test|dev"
    r"|train(ing|val)?)([_-]?\d{4})?"
)
_OTHER_TASKS = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_WHOLE = ("instances", "annotations", "coco", "_annotations.coco")
_YEAR = re.compile(r"[_-]?\d{4}$")
_DEPTH = 4  # parts of a path, such as export/annotations/train/labels.json
_MANY, _SAMPLE = 200, 50  # of more JSON files only a sample and those with a telling name are read
WHOLE_SET = ""  # the key of a file that does not belong to one split


def find_annotations(path: Path) -> dict[str, Path]:
    """The COCO files below a folder by split; `WHOLE_SET` is the key of one without a split.

    A file is recognised by its content. Its split is the one that its name or the nearest folder
    states. Of several files of one split, those that COCO names instances_<split>.json count, and
    of these the ones in the fewest folders; if that leaves several, the name of each is its split.
    """
    return _by_split(path, _detection_files(path))


def passed_over(path: Path, used: Iterable[Path]) -> list[Path]:
    """The unused COCO files below a folder."""
    return sorted(set(_detection_files(path)) - set(used))


def json_files(path: Path) -> list[Path]:
    """The JSON files of a folder and a few levels of folders below it."""
    depth = len(path.parts) + _DEPTH
    return [file for file in files_below(path, (".json",)) if len(file.parts) <= depth]


def _detection_files(path: Path) -> list[Path]:
    files = _annotation_files(path)
    return [file for file in files if not file.stem.startswith(_OTHER_TASKS)] or files


def _annotation_files(path: Path) -> list[Path]:
    files = sorted(json_files(path))
    usual = [file for file in files if _is_known(path, file)]
    unusual = sorted(set(files) - set(usual))
    if len(unusual) > _MANY:
        telling = [file for file in unusual if split_of_path(file.relative_to(path)) is not None]
        unusual = sorted({*telling[:_MANY], *unusual[:: len(unusual) // _SAMPLE]})
    return sorted([*usual, *(file for file in unusual if has_coco_lists(file))])


def _is_known(path: Path, file: Path) -> bool:
    """Whether a file has a name and place that COCO's exporters use."""
    if file.stem.startswith(_OTHER_TASKS):
        return False
    if file.parent == path:
        return _KNOWN.fullmatch(file.stem) is not None
    if file.parent.parent != path:
        return False
    return file.name == "_annotations.coco.json" or (
        file.parent.name == "annotations" and _KNOWN.fullmatch(file.stem) is not None
    )


def _by_split(path: Path, files: Sequence[Path]) -> dict[str, Path]:
    if len(files) == 1:
        return {_split(path, files[0]) or WHOLE_SET: files[0]}
    splits = _nearest(_plain_instances({f: _split(path, f) or _stem(f) for f in files}))
    files = list(splits)
    counts = Counter(splits.values())
    stems = Counter(file.stem for file in files)

    def unique(file: Path) -> str:
        if counts[splits[file]] == 1:
            return splits[file]
        if stems[file.stem] == 1:
            return file.stem.removeprefix("instances_")
        return file.relative_to(path).with_suffix("").as_posix()

    by_split = {unique(file): file for file in files}
    if WHOLE_SET in by_split and not any(map(role_of, by_split)):
        return {WHOLE_SET: by_split[WHOLE_SET]}  # annotations.json beside annotations_old.json
    return by_split


def _plain_instances(splits: dict[Path, str]) -> dict[Path, str]:
    """Drop files if their split has a file named instances_<split>.json."""
    named = {name for file, name in splits.items() if file.stem.startswith("instances_")}
    return {
        file: name
        for file, name in splits.items()
        if name not in named or file.stem.startswith("instances_")
    }


def _nearest(splits: dict[Path, str]) -> dict[Path, str]:
    """Drop files if their split has a file in a higher folder."""
    depths: dict[str, int] = {}
    for file, name in splits.items():
        depths[name] = min(len(file.parts), depths.get(name, len(file.parts)))
    return {file: name for file, name in splits.items() if len(file.parts) == depths[name]}


def _split(path: Path, file: Path) -> str | None:
    """The split that the name of a file or its folders state."""
    stem = _stem(file)
    if file.stem not in _WHOLE and _KNOWN.fullmatch(stem) and not stem.startswith("instances"):
        return stem
    return split_of_path(file.relative_to(path))


def _stem(file: Path) -> str:
    """The name of a file without prefix and year; `WHOLE_SET` if it says "all of the data"."""
    stem = file.stem.removeprefix("instances_")
    return WHOLE_SET if stem in _WHOLE else _YEAR.sub("", stem) or stem
