"""Match file names that annotations give to files on this machine by the end of the path."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from detkit.data.pairing import UPLOAD_PREFIX
from detkit.data.readers.split_names import fits_split, split_of, split_of_path

_LABEL_STUDIO = "?d="  # precedes the path in /data/local-files/?d=photos/a.jpg


class Match(NamedTuple):
    """The result for one name.

    Attributes:
        path: The matching file; None if there is none, or more than one.
        ways: How the name differs from the path, such as ("in other case",).
        candidates: The files that match equally well, if there are several.
    """

    path: str | None
    ways: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


class PathEndings:
    """Relative paths of files, for look-up by the end of a name.

    A name matches the files with the same last part: exactly, or else after URL decoding, ignoring
    case, or ignoring the suffix. Of several files, the one that shares the most parts with the end
    of the name matches. A name of one split never matches a file in a folder of another.

    Args:
        paths: The files, relative to one folder, with forward slashes.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            name = _folded(path.rpartition("/")[2])
            self._by_name[name].append(path)
            self._by_stem[PurePosixPath(name).stem].append(path)

    def match(self, name: str, *, split: str | None = None, exclude: Collection[str] = ()) -> Match:
        """Find the file that a name means.

        Args:
            name: A path from any machine, or a URL.
            split: The split that the name belongs to; None if unknown.
            exclude: Paths that other names match exactly.
        """
        spellings = _spellings(name)
        stated = None if split is None else split_of(split)
        for by_stem in (False, True):
            for parts, ways in spellings:
                paths = [path for path in self._paths(parts[-1], by_stem) if path not in exclude]
                best = _best(parts, paths, stated)
                if len(best) > 1:
                    return Match(None, candidates=tuple(best))
                if best:
                    return Match(best[0], ways + _differences(parts, best[0]))
        return Match(None)

    def _paths(self, name: str, by_stem: bool) -> list[str]:
        folded = _folded(name)
        if not by_stem:
            return self._by_name.get(folded, [])
        stem = PurePosixPath(folded).stem
        return self._by_stem.get(folded) or self._by_stem.get(stem, [])


def parts_of(name: str) -> list[str]:
    """The folders and the file name in a path of any operating system."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def summary(names: Sequence[str], matches: Sequence[Match]) -> str:
    """Summarise how names were matched: the count of each kind, with an example.

    Args:
        names: The names.
        matches: The match of each name; those without a path do not count.
    """
    examples: dict[tuple[str, ...], tuple[str, str]] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    for name, match in zip(names, matches, strict=True):
        if match.path is not None:
            counts[match.ways] += 1
            examples.setdefault(match.ways, (name, match.path))
    return "; ".join(
        f"{count:,} {' and '.join(ways) or 'exactly'} "
        f"('{examples[ways][0]}' is '{examples[ways][1]}')"
        for ways, count in counts.most_common()
    )


def _spellings(name: str) -> list[tuple[list[str], tuple[str, ...]]]:
    """The parts of a name, unchanged and URL-decoded, each with the changes made to it."""
    text = name.rpartition(_LABEL_STUDIO)[2]
    if "://" in text:
        text = text.partition("://")[2].partition("?")[0].partition("#")[0]
    literal, decoded = parts_of(text), parts_of(unquote(text))
    backslashes = ("with backslashes",) if "\\" in text else ()
    spellings = [(literal, backslashes)]
    if decoded != literal:
        spellings.append((decoded, (*backslashes, "URL-encoded")))
    spellings = [(parts, ways) for parts, ways in spellings if parts]
    return spellings + [
        ([*parts[:-1], short], (*ways, "without the Label Studio prefix"))
        for parts, ways in spellings
        if (short := UPLOAD_PREFIX.sub("", parts[-1])) != parts[-1]
    ]


def _differences(parts: Sequence[str], path: str) -> tuple[str, ...]:
    """The kinds of difference between a name and the path it matches."""
    other = path.split("/")
    common = _common_ending(parts, other)
    same_suffix = _folded(parts[-1]) == _folded(other[-1])
    pairs = list(zip(reversed(parts), reversed(other), strict=False))[:common]
    if not same_suffix:
        pairs[0] = (PurePosixPath(parts[-1]).stem, PurePosixPath(other[-1]).stem)
    ways = {
        "by the end of the path": common < len(parts),
        "in a sub-folder": common == len(parts) < len(other),
        "with another suffix": not same_suffix,
        "in other case": any(_composed(first) != _composed(second) for first, second in pairs),
        "in another Unicode form": any(
            first != second and _composed(first) == _composed(second) for first, second in pairs
        ),
    }
    return tuple(way for way, applies in ways.items() if applies)


def _best(parts: Sequence[str], paths: Sequence[str], split: str | None) -> list[str]:
    """The paths that share the most parts with the end of a name, and fit its split.

    A path in a folder of another split fits if the name contains that split too, as in a data set
    that was split again later.
    """
    folders = {path: split_of_path(PurePosixPath(path).parent / "_") for path in paths}
    named = split_of_path(PurePosixPath(*parts[-3:-1], "_"))
    fitting = [
        path
        for path, folder in folders.items()
        if fits_split(split or named, folder)
        or (named is not None and folder is not None and fits_split(named, folder))
    ]
    lengths = {path: _common_ending(parts, path.split("/")) for path in fitting}
    best = [path for path in fitting if lengths[path] == max(lengths.values())]
    preferences = (
        [path for path in best if path.rpartition("/")[2] == parts[-1]],  # in the same case
        [p for p in best if None not in (split, folders[p]) and fits_split(split, folders[p])],
    )
    for preferred in preferences:
        best = [path for path in best if path in preferred] or best
    return best


def _common_ending(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the parts that two paths share at their end, ignoring case and file suffix."""
    pairs = zip(reversed(first[:-1]), reversed(second[:-1]), strict=False)
    return 1 + sum(1 for _ in takewhile(lambda pair: _folded(pair[0]) == _folded(pair[1]), pairs))


def _folded(text: str) -> str:
    """A text with case and Unicode form normalised."""
    return _composed(text).casefold()


def _composed(text: str) -> str:
    """A text in Unicode's composed form; macOS writes the decomposed one."""
    return unicodedata.normalize("NFC", text)
