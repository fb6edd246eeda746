"""`detkit bundle`: pack a detector into a folder of open formats for use elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path

from detkit.cli.options import split_options
from detkit.errors import UserError
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint
from detkit.text import counted, file_size
from detkit.weights.bundling import bundle_checkpoint

HELP = """
usage: detkit bundle RUN [output=FOLDER]

Writes a folder with everything needed to use a detector elsewhere, in formats that other programs
read: weights.safetensors, config.yaml, and bundle.json with class names, category ids, versions,
the fingerprint of the data and the checksums of the other two files. RUN is a run folder (bundles
its best checkpoint) or a checkpoint file.

  detkit bundle runs/demo                         writes demo_bundle
  detkit bundle runs/demo output=to_send
  detkit predict ckpt=to_send source=photos       also: `evaluate`, `train weights=`
"""
_MOST_NAMES = 8
_OPTIONS = ("ckpt", "output")


def run(arguments: list[str]) -> int:
    """Write the bundle and print its contents."""
    source, output = _words(arguments)
    checkpoint = read_checkpoint(find_checkpoint(source))
    folder = Path(output) if output else Path(f"{_name_of(source)}_bundle")
    bundle_checkpoint(checkpoint, folder)
    opened = read_checkpoint(find_checkpoint(str(folder)))
    size = sum(file.stat().st_size for file in folder.iterdir())
    names = ", ".join(opened.class_names[:_MOST_NAMES])
    names += ", ..." if len(opened.class_names) > _MOST_NAMES else ""
    print(
        f"written: {folder}: {counted(len(opened.weights), 'tensor')}, "
        f"{file_size(size)}, {counted(len(opened.class_names), 'class')} ({names})\n"
        f"use it: detkit predict {shlex.quote(f'ckpt={folder}')} source=PHOTOS"
    )
    return 0


def _words(arguments: list[str]) -> tuple[str, str | None]:
    """The run and the output folder.

    Raises:
        UserError: The words do not name one run, or contain an unknown option.
    """
    runs, values = split_options("bundle", arguments, _OPTIONS)
    runs += values.get("ckpt", [])
    if len(runs) != 1:
        got = f"; got {' '.join(runs)}" if runs else ""
        raise UserError(f"detkit bundle needs a run: detkit bundle RUN [output=FOLDER]{got}.")
    return runs[0], values.get("output", [None])[0]


def _name_of(source: str) -> str:
    path = Path(source).resolve()
    return path.name if path.is_dir() else path.stem
