"""`detkit data convert`: write a data set in another format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from detkit import registry
from detkit.cli.data_check import quiet_readers
from detkit.cli.data_words import build_reader
from detkit.cli.data_words import options as parse_options
from detkit.cli.options import split_options
from detkit.data.writers.convert import Report, check_words, convert
from detkit.data.writers.division import Division
from detkit.errors import UserError
from detkit.interfaces import Reader
from detkit.registry import Slot
from detkit.text import align_columns

HELP = """
usage: detkit data convert SOURCE TARGET format=coco|voc|yolo [split=...] [copy=...] [ignored=...]

Writes a data set in another format into a new folder TARGET. SOURCE, in any format that detkit
reads, is not changed. Splits are kept. detkit reads the result back and compares it before TARGET
gets its name, and finally lists what the format cannot represent.

  format=coco     annotations/instances_<split>.json, images/
  format=voc      Annotations/*.xml, JPEGImages/, ImageSets/Main/<split>.txt, classes.txt
  format=yolo     images/<split>/, labels/<split>/, and a data.yaml that Ultralytics trains from
  reader=coco     the reader of SOURCE, if detkit does not recognise the format; its settings are
                  reader.KEY=VALUE
  split=train,val only these splits
  split=0.8       draws 80 % of the images for train and the others for val, if SOURCE has no
                  splits; split=train,0.8 divides an existing split
  seed=0          seed of that draw
  copy=link       (default) hard links: no time, no space; copies if the disk has no links. A
                  program that edits an image in place changes both: use copy=copy then
  copy=copy       copy the images
  copy=none       write only annotations
  ignored=drop    (default) leave out crowd and difficult objects, which YOLO cannot mark
  ignored=keep    write them to YOLO like any other object

  detkit data convert DATA converted format=coco
"""
_DEFAULTS = {"format": "", "split": "", "seed": "0", "copy": "link", "ignored": "drop"}
_IGNORED = ("drop", "keep")


def run(words: list[str]) -> int:
    """Convert, and print what was written, omitted and lost."""
    registry.load_plugins()
    of_reader = [word for word in words if word.startswith(("reader=", "reader."))]
    source, target, options = _parse([word for word in words if word not in of_reader])
    check_words(options["format"], options["copy"])
    if options["ignored"] not in _IGNORED:
        raise UserError(f"ignored={options['ignored']}: expected one of {', '.join(_IGNORED)}.")
    splits, division = _split_words(options["split"], options["seed"])
    with quiet_readers():  # the report contains the readers' warnings, each once
        report = convert(
            source,
            target,
            to=options["format"],
            reader=_reader(of_reader),
            splits=splits or None,
            division=division,
            copy=options["copy"],
            keep_ignored=options["ignored"] == "keep",
        )
    print(describe(report, target))
    if division is not None:
        print(f"split: {division.share:g} of the images drawn for train with seed={division.seed}")
    return 0


@dataclass(frozen=True)
class _ReaderOptions:
    """The reader of SOURCE.

    Args:
        reader: The reader.
    """

    reader: Annotated[object, Slot("reader", "auto")]


def _reader(words: list[str]) -> Reader | None:
    """The reader that the words select; None to recognise the format."""
    return build_reader(parse_options(_ReaderOptions, words)["reader"]) if words else None


def _split_words(text: str, seed: str) -> tuple[list[str], Division | None]:
    """The splits to convert, and how to divide them if the words include a share.

    Raises:
        UserError: The share is not between 0 and 1, there are several, or the seed is not a number.
    """
    words = [word.strip() for word in text.strip("[]").split(",") if word.strip()]
    shares = [share for word in words if (share := _share(word)) is not None]
    names = [word for word in words if _share(word) is None]
    if not shares:
        return names, None
    if len(shares) > 1 or not 0 < shares[0] < 1 or len(names) > 1:
        raise UserError(
            f"split={text}: expected names of splits (split=train,val), a fraction for train "
            "between 0 and 1 (split=0.8), or one split and a fraction (split=train,0.8)."
        )
    if not seed.isdecimal():
        raise UserError(f"seed={seed}: expected a whole number, 0 or more.")
    return names, Division(shares[0], int(seed))


def _share(word: str) -> float | None:
    try:
        return float(word) if "." in word else None  # without a point, it is a split such as 2017
    except ValueError:
        return None


def _parse(words: list[str]) -> tuple[Path, Path, dict[str, str]]:
    folders, values = split_options("data convert", words, _DEFAULTS)
    if len(folders) != 2:  # noqa: PLR2004
        raise UserError(
            "detkit data convert takes two folders, SOURCE and TARGET, and format=coco|voc|yolo; "
            f"got {', '.join(folders) or 'none'}."
        )
    options = {key: values.get(key, [default])[0] for key, default in _DEFAULTS.items()}
    return Path(folders[0]), Path(folders[1]), options


def describe(report: Report, target: Path) -> str:
    """The report of a conversion as text."""
    lines = [f"{report.source} -> {report.target}: {target}", ""]
    rows = [["split".ljust(len("no splits")), f"{'images':>8}", f"{'objects':>9}"]]
    for split, (images, objects) in report.splits.items():
        rows.append([split or "no splits", f"{images:,}", f"{objects:,}"])
    lines += [f"  {line}" for line in align_columns(rows, (1, 2))]
    lines += ["", f"images: {_images(report.images, report.target)}"]
    for heading, entries in (
        ("left out because unusable", report.left_out),
        ("read differently from the source", report.changed),
    ):
        lines += [f"{heading}:", *(f"  {line}" for line in entries)] * bool(entries)
    if report.losses:
        lines += [f"lost in {report.target}:", *(f"  {line}" for line in report.losses)]
    else:
        lines += ["nothing is lost."]
    return "\n".join(lines)


def _images(placed: dict[str, int], target: str) -> str:
    folder = {"coco": "images/", "voc": "JPEGImages/", "yolo": "images/, in its splits' folders"}
    if not placed:
        return (
            f"none (copy=none); put them into {folder[target]} under the names in the annotations"
        )
    words = {"linked": "linked to the source's files (hard links, which take no space)"}
    return ", ".join(f"{count:,} {words.get(how, how)}" for how, count in placed.items())
