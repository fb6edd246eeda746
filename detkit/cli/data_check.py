"""`detkit data check`: find problems in a data set."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tqdm import tqdm

from detkit.cli.data_keys import own_keys
from detkit.cli.data_pictures import write_pictures
from detkit.cli.data_words import (
    build_reader,
    options,
    output_folder,
    report_folder,
)
from detkit.cli.output_folder import make_folder
from detkit.data.audit.audit_report import as_plain, as_text
from detkit.data.audit.evidence import Resizing, gather
from detkit.data.audit.rules import audit, training_would_suffer
from detkit.registry import NonNegativeInt, PositiveInt, Slot
from detkit.text import counted

HELP = """
usage: detkit data check PATH [KEY=VALUE ...]

Reads a data set as training would, decodes each image once, and reports problems: unreadable files,
impossible boxes, inconsistent classes, images that occur in two splits, and more. Writes audit.json
with every case, and pictures of the worst ones.
Exit code: 1 if training would suffer, 0 if not, 2 if there is no readable data set.

  detkit data check DATA
  detkit data check DATA reader=coco reader.images=photos splits=[train,val]
  detkit data check DATA short_side=1024 long_side=null strides=[4,8,16,32]

reader=auto           the reader of the folder; its settings are reader.KEY=VALUE
splits=[A,B]          check only these splits
output=data_check     folder for audit.json and pictures; if it holds another data set's report, a
                      folder beside it; null writes none
pictures=6            images on each picture; 0 draws none
json=true             print the content of audit.json instead of a table
short_side=640        size of the images that the detector sees, as in the transform `resize`
long_side=1066        (null: no limit)
enlarge=false
strides=[8,16,...]    strides of the detector's levels, finest first
threads=N             images to decode at once (one per core)
"""
REPORT = "audit.json"


@dataclass(frozen=True)
class Options:
    """The command's options.

    Args:
        path: Folder of the data set.
        reader: The reader of the folder.
        splits: Splits to check; null takes all.
        output: Folder for audit.json and pictures; null writes none.
        pictures: Images on each picture; 0 draws none.
        json: Whether to print JSON instead of a table.
        short_side: Length of an image's short side after resizing.
        long_side: Maximum length of the long side; null sets no limit.
        enlarge: Whether small images are enlarged.
        strides: Strides of the detector's levels, finest first.
        threads: Images to decode at once; null takes one per core.
    """

    path: str
    reader: Annotated[object, Slot("reader", "auto")]
    splits: list[str] | None = None
    output: str | None = "data_check"
    pictures: NonNegativeInt = 6
    json: bool = False
    short_side: PositiveInt = 640
    long_side: PositiveInt | None = 1066
    enlarge: bool = False
    strides: list[PositiveInt] | None = None
    threads: PositiveInt | None = None


def run(words: list[str]) -> int:
    """Check a data set; return 1 if training would suffer."""
    settings = options(Options, words)
    path = Path(settings["path"]).expanduser()
    output = output_folder(settings["output"], path)
    elsewhere = ""
    if output is not None:
        output, elsewhere = report_folder(output, REPORT, path)
    with quiet_readers():
        evidence = gather(
            build_reader(settings["reader"], masks=True),
            path,
            requested=settings["splits"],
            resizing=resizing_of(settings),
            threads=settings["threads"],
            watch=with_bar,
        )
    refused = {split: own_keys(reason) for split, reason in evidence.refused.items()}
    evidence = replace(evidence, refused=refused)
    findings = audit(evidence)
    plain = as_plain(evidence, findings)
    summary = ""
    if output is not None:
        make_folder(output)
        (output / REPORT).write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
        drawn = write_pictures(evidence, findings, output / "pictures", settings["pictures"])
        summary = f"{output}: {REPORT}" + (f", {counted(len(drawn), 'picture')}" if drawn else "")
        summary += elsewhere
    # after writing the files, because `| head` ends the command at its first unread line
    if settings["json"]:
        print(json.dumps(plain, indent=2))
    else:
        print(as_text(evidence, findings, shutil.get_terminal_size((100, 24)).columns))
    if summary:
        print(summary, file=sys.stderr if settings["json"] else sys.stdout)
    return int(training_would_suffer(findings))


def resizing_of(settings: dict[str, Any]) -> Resizing:
    """The resizing that the options describe."""
    values = {key: settings[key] for key in ("short_side", "long_side", "enlarge")}
    if settings["strides"]:
        values["strides"] = tuple(sorted(settings["strides"]))
    return Resizing(**values)


def with_bar(items: Iterable[Any], count: int) -> Iterable[Any]:
    """The items, with a progress bar on a terminal."""
    bar: Iterable[Any] = tqdm(items, total=count, unit="image", disable=None, leave=False)
    return bar


@contextmanager
def quiet_readers() -> Iterator[None]:
    """Print the readers' decisions, but not their warnings, which the table lists."""
    logger = logging.getLogger("detkit.data")
    before = logger.level, logger.propagate
    handler = logging.StreamHandler()  # writes to stderr
    handler.addFilter(_DecisionsOnce())
    handler.setFormatter(_OwnKeys())
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _OwnKeys(logging.Formatter):
    """Formats messages with the keys of this command."""

    def format(self, record: logging.LogRecord) -> str:
        """The message of a record."""
        return own_keys(super().format(record))


class _DecisionsOnce(logging.Filter):
    """Passes each INFO message once, even if several splits cause it."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is an INFO message that was not shown before."""
        message = record.getMessage()
        is_new = record.levelno == logging.INFO and message not in self.shown
        self.shown.add(message)
        return is_new
