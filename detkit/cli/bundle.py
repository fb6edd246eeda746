"""`detkit bundle`: what a detector needs to be used elsewhere, in one folder of open formats."""

from __future__ import annotations

import shlex
from pathlib import Path

from detkit.config.override_text import value_of
from detkit.errors import UserError, did_you_mean
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint
from detkit.text import counted
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
SHOWN = 8
KEYS = ("ckpt", "output")


def run(arguments: list[str]) -> int:
    """Write the bundle and say what is in it."""
    source, output = _words(arguments)
    checkpoint = read_checkpoint(find_checkpoint(source))
    folder = Path(output) if output else Path(f"{_name_of(source)}_bundle")
    bundle_checkpoint(checkpoint, folder)
    opened = read_checkpoint(find_checkpoint(str(folder)))
    size = sum(file.stat().st_size for file in folder.iterdir())
    names = ", ".join(opened.class_names[:SHOWN])
    names += ", ..." if len(opened.class_names) > SHOWN else ""
    print(
        f"written: {folder}: {counted(len(opened.weights), 'tensor')}, "
        f"{size / 1e6:.1f} MB, {counted(len(opened.class_names), 'class')} ({names})\n"
        f"use it: detkit predict {shlex.quote(f'ckpt={folder}')} source=PHOTOS"
    )
    return 0


def _words(arguments: list[str]) -> tuple[str, str | None]:
    """The run and the output folder.

    Raises:
        UserError: No run is named, or a word is not understood.
    """
    source = value_of(arguments, "ckpt")
    remaining = list(arguments)
    if source is None and remaining and ("=" not in remaining[0] or Path(remaining[0]).exists()):
        source = remaining.pop(0)
    for word in remaining:
        key = word.partition("=")[0]
        if key not in KEYS or "=" not in word:
            raise UserError(
                f"detkit bundle does not know '{word}'.{did_you_mean(key, KEYS)} "
                "It takes RUN and output=FOLDER."
            )
    if not source:
        raise UserError("detkit bundle needs a run: detkit bundle RUN [output=FOLDER].")
    return source, value_of(remaining, "output")


def _name_of(source: str) -> str:
    path = Path(source).resolve()
    return path.name if path.is_dir() else path.stem
