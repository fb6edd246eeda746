"""`detkit data propose`: write the regions of each image that may hold an object."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import torch
from tqdm import tqdm

from detkit.api.run_regions import RunRegions
from detkit.cli.data_check import quiet_readers
from detkit.cli.data_words import build_reader, options
from detkit.data.audit.evidence import read_splits
from detkit.data.proposal_file import ProposalWriter, names_of
from detkit.data.proposal_methods import Propose, grid_windows, selective_search
from detkit.data.proposing import ImageProposals, Summary, propose_all
from detkit.errors import DataError, UserError
from detkit.registry import PositiveInt, Slot
from detkit.text import counted, duration

HELP = """
usage: detkit data propose PATH method=grid|selective_search|run [KEY=VALUE ...]

Writes regions that may hold an object for each image of a data set into one file, for the proposer
`external` of Fast R-CNN and R-CNN. Images are found by their content, so the data set may move.
Interrupted, the same command continues; it also adds images that are new.

  detkit data propose DATA method=selective_search output=proposals.db
  detkit data propose DATA method=run ckpt=runs/faster_rcnn output=rpn.db
  detkit train model=fast_rcnn data.path=DATA model/proposer=external model.proposer.file=rpn.db

method=grid             the windows of proposer `grid`; needs nothing
method=selective_search OpenCV's selective search; needs pip install 'detkit[proposals]'
method=run              the RPN of ckpt=RUN, or the boxes that any other detector detects
output=proposals.db     the file
most=2000               regions of an image, at most
reader=auto             the reader of the folder; its settings are reader.KEY=VALUE
splits=[A,B]            only these splits
long_side=500           selective_search: larger images are searched at this size (null: full size)
quality=true            selective_search: more regions in three times the time
ckpt=RUN                run: a run folder or checkpoint
device=auto             run: cpu, cuda or cuda:1
threads=N               images at once (one per core)
"""
_SECONDS = 30.0  # between two lines of progress where no bar can be drawn


@dataclass(frozen=True)
class Options:
    """The command's options.

    Args:
        path: Folder of the data set.
        reader: The reader of the folder.
        method: How regions are found.
        output: The proposal file.
        most: Regions of an image, at most.
        splits: Splits to read; null takes all.
        long_side: Larger images are searched at this size; null searches all as they are.
        quality: Whether selective search takes longer and finds more.
        ckpt: The run that proposes.
        device: Where it runs.
        threads: Images at once; null takes one per core.
    """

    path: str
    reader: Annotated[object, Slot("reader", "auto")]
    method: Literal["grid", "selective_search", "run"] = "grid"
    output: str = "proposals.db"
    most: PositiveInt = 2000
    splits: list[str] | None = None
    long_side: PositiveInt | None = 500
    quality: bool = False
    ckpt: str | None = None
    device: str = "auto"
    threads: PositiveInt | None = None


def run(words: list[str]) -> int:
    """Propose regions for all images, and print a summary."""
    settings = options(Options, words)
    path, output = (Path(settings[key]).expanduser() for key in ("path", "output"))
    propose, described = _method(settings)
    images = _images(settings, path)
    writer = ProposalWriter(output, described)
    try:
        summary = propose_all(
            images,
            writer,
            propose,
            most=settings["most"],
            threads=settings["threads"] or torch.get_num_threads(),
            watch=_with_progress,
        )
    finally:
        writer.close()
    print(_text(summary, len(images), output))
    return 0


def _method(settings: dict[str, Any]) -> tuple[Propose, dict[str, str]]:
    """The method, and the settings that its regions depend on, in words.

    Raises:
        UserError: It lacks a package or a checkpoint.
    """
    method = settings["method"]
    described = {"method": method, "most": str(settings["most"])}
    if method == "grid":
        return grid_windows(), described
    if method == "selective_search":
        side, quality = settings["long_side"], settings["quality"]
        described |= {"long_side": str(side or "null"), "quality": str(quality).lower()}
        return selective_search(long_side=side, quality=quality), described
    if settings["ckpt"] is None:
        raise UserError("method=run needs the run that proposes: add ckpt=RUN.")
    regions = RunRegions(settings["ckpt"], settings["device"])
    print(f"{settings['ckpt']}: {regions.description}", file=sys.stderr)
    return regions, {**described, "weights": regions.digest}


def _images(settings: dict[str, Any], path: Path) -> dict[str, Path]:
    """The image files of the data set, by name.

    Raises:
        DataError: A split cannot be read.
    """
    with quiet_readers():
        splits, refused, _ = read_splits(build_reader(settings["reader"]), path, settings["splits"])
    if refused:
        raise DataError("; ".join(f"split '{name}': {reason}" for name, reason in refused.items()))
    return {name: split.index.root / name for split in splits for name in names_of(split.index)}


def _with_progress(results: Iterable[ImageProposals], count: int) -> Iterable[ImageProposals]:
    """The results, with a bar on a terminal, or a line now and then elsewhere."""
    if sys.stderr.isatty():
        bar: Iterable[ImageProposals] = tqdm(results, total=count, unit="image", leave=False)
        return bar
    return _with_lines(results, count)


def _with_lines(results: Iterable[ImageProposals], count: int) -> Iterator[ImageProposals]:
    start = latest = time.monotonic()
    for number, result in enumerate(results, start=1):
        yield result
        now = time.monotonic()
        if now - latest >= _SECONDS:
            latest = now
            left = duration((now - start) / number * (count - number))
            print(f"{number:,} of {counted(count, 'image')}, {left} left", file=sys.stderr)


def _text(summary: Summary, images: int, output: Path) -> str:
    lines = [f"{output}: proposals of {counted(images, 'image')}"]
    if summary.known:
        lines[0] += f", {summary.known:,} of them from before"
    if summary.counts:
        lines[0] += f"; {median(summary.counts):,.0f} regions an image (median)"
    if summary.unreadable:
        first = summary.unreadable[0]
        lines.append(
            f"{counted(len(summary.unreadable), 'image')} cannot be decoded and have no regions, "
            f"such as '{first}'"
        )
    lines.append(f"to train: model/proposer=external model.proposer.file={output}")
    return "\n".join(lines)
