"""`detkit bundle`: pack a detector into a folder of open formats for use elsewhere."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from detkit.cli.options import split_options
from detkit.errors import UserError
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint
from detkit.text import counted, file_size
from detkit.weights.bundling import bundle_checkpoint

HELP = """
usage: detkit bundle RUN [output=FOLDER]
       detkit bundle RUN hub=OWNER/NAME [private=false] [licence=NAME] [output=FOLDER]

Writes a folder with everything needed to use a detector elsewhere, in formats that other programs
read: weights.safetensors, config.yaml, and bundle.json with class names, category ids, versions,
the fingerprint of the data and the checksums of the other two files. RUN is a run folder (bundles
its best checkpoint) or a checkpoint file.

  detkit bundle runs/demo                         writes demo_bundle
  detkit bundle runs/demo output=to_send
  detkit predict ckpt=to_send source=photos       also: `evaluate`, `train weights=`

hub=OWNER/NAME uploads the bundle to a model repository of the Hugging Face hub, with a model card
(README.md) that has AP, classes, data fingerprint and the commands that load it. It prints the
files first. The repository is private unless private=false; absolute paths in the configuration are
shortened to their last name. With output=FOLDER the uploaded files stay in that folder too.

  detkit bundle runs/demo hub=me/cells licence=apache-2.0
  detkit predict ckpt=hf://me/cells source=photos
"""
_MOST_NAMES = 8
_OPTIONS = ("ckpt", "output", "hub", "private", "licence")
_VISIBILITIES = {"true": True, "false": False}


class _Words(NamedTuple):
    source: str
    output: str | None
    hub: str | None
    private: bool | None
    licence: str | None


def run(arguments: list[str]) -> int:
    """Write the bundle and print its contents; upload it on request."""
    words = _words(arguments)
    checkpoint = read_checkpoint(find_checkpoint(words.source))
    if words.hub is not None:
        # Imported late: the client of the hub takes half a second.
        upload = import_module("detkit.cli.bundle_upload").upload
        upload(checkpoint, words.output, words.hub, private=words.private, licence=words.licence)
        return 0
    folder = Path(words.output or f"{_name_of(words.source)}_bundle")
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


def _words(arguments: list[str]) -> _Words:
    """The run and the options.

    Raises:
        UserError: The words do not name one run, contain an unknown option, or an option of an
            upload without `hub=`.
    """
    runs, values = split_options("bundle", arguments, _OPTIONS)
    runs += values.get("ckpt", [])
    if len(runs) != 1:
        got = f"; got {' '.join(runs)}" if runs else ""
        raise UserError(f"detkit bundle needs a run: detkit bundle RUN [output=FOLDER]{got}.")
    output, hub, private, licence = (values.get(key, [None])[0] for key in _OPTIONS[1:])
    if hub is None and (private or licence):
        word = f"private={private}" if private else f"licence={licence}"
        raise UserError(f"{word}: is for uploads: add hub=OWNER/NAME, or leave it out.")
    if private is not None and private not in _VISIBILITIES:
        raise UserError(f"private={private}: expected true or false.")
    return _Words(runs[0], output, hub, _VISIBILITIES.get(private or ""), licence)


def _name_of(source: str) -> str:
    path = Path(source).resolve()
    return path.name if path.is_dir() else path.stem
