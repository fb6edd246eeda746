"""Read files of tensors as data, without running code from them; report each fault in one line."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from detkit.errors import UserError

# How files of torch.save start, since PyTorch 1.6 and before.
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_STARTS = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"RIFF": "a RIFF file (WebP, WAV or AVI)",
}
# How to save the tensors alone where a library that pickles its objects is installed.
_SAVE = "torch.save({}, 'weights.pth')"
_LOADED = "torch.load('{}', map_location='cpu', weights_only=False)"
_REMEDIES = {
    "ultralytics": "__import__('ultralytics').YOLO('{}').model.float().state_dict()",
    "models": f"{_LOADED}['model'].float().state_dict()",  # YOLOv5's repository
    "mmengine": f"{_LOADED}['state_dict']",
}
_MEMBER = re.compile(r"(?:GLOBAL|Unsupported class|function) [`']?([\w.]+)")


def mapping_in(file: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if the file is missing, damaged or holds no mapping."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_tensors(path: Path, *, check_sums: bool = False) -> Any:
    """Read a PyTorch or safetensors file to the CPU without running code from it.

    Args:
        path: The file; the format is detected from its content.
        check_sums: Compare the check sums that torch.save stores, to find a changed byte. Programs
            may store others on purpose, so for detkit's own files only.

    Raises:
        UserError: It cannot be read, is damaged, is no such file, or holds Python objects.
    """
    start = _start_of(path)
    if not start:
        raise UserError(f"{path}: is empty: the disk was full or writing was interrupted.")
    is_zip = start.startswith(_ZIP)
    if is_zip:
        _require_whole_zip(path, check_sums)
    elif not start.startswith(_PICKLE) and not _is_safetensors(start):
        raise UserError(
            f"{path}: is not a checkpoint but {_kind_of(start)}: give a file that detkit, "
            "torch.save or safetensors has written."
        )
    try:
        if _is_safetensors(start):
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip or None)
    except pickle.UnpicklingError as error:
        raise UserError(_objects(path, str(error), is_zip)) from error
    except Exception as error:  # a damaged file can raise anything
        raise _damaged(path) from error


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from error


def _is_safetensors(start: bytes) -> bool:
    """Whether the first 8 bytes are a length and JSON follows."""
    return start[8:9] == b"{" and not start.startswith((_ZIP, _PICKLE + b"\x02"))


def _require_whole_zip(path: Path, check_sums: bool) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            broken = archive.testzip() if check_sums else None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise _damaged(path) from error
    if broken is not None:
        raise UserError(
            f"{path}: is damaged: the bytes of '{broken}' have changed since they were written; "
            "take another copy or another checkpoint of the run."
        )
    if not any(name.endswith("/data.pkl") for name in names):
        raise UserError(
            f"{path}: is a zip archive but not a checkpoint: torch.save did not write it."
        )


def _kind_of(start: bytes) -> str:
    for beginning, kind in _STARTS.items():
        if start.startswith(beginning):
            return kind
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else the end of `start` cuts a character
            return "a file of another kind"
        text = start[: error.start].decode("utf-8")
    if text.startswith("version https://git-lfs"):
        return "a Git LFS pointer (run `git lfs pull` to get the file itself)"
    return "a file of another kind" if "\x00" in text else "a text file"


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path}: is damaged or cut short: copy or download it again, or take another checkpoint."
    )


def _objects(path: Path, text: str, is_zip: bool) -> str:
    """The message for a pickle with more than tensors and plain values."""
    match = _MEMBER.search(text)
    if match is None and not is_zip:
        return f"{path}: is damaged, or a pickle of another program: expected a checkpoint."
    name = f" ({match[1]})" if match else ""
    return (
        f"{path}: holds Python objects{name}, which detkit never loads since they can run code. "
        f"If you trust it, save the tensors alone where it was made: {_remedy(path, match)}."
    )


def _remedy(path: Path, match: re.Match[str] | None) -> str:
    """The Python expression that saves the tensors of a pickle with such an object."""
    library = match[1].partition(".")[0] if match else ""
    value = _REMEDIES.get(library, "model.state_dict()").format(path.name)
    return _SAVE.format(value)
