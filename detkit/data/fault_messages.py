"""Sentences about what reading a data set dropped or changed."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from detkit.data.pairing import describe_pairing
from detkit.errors import DataError
from detkit.structures import Fault, Pairing
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
NAMES_IN_A_WARNING = 10
_DETAILS = 5  # of one file


def warn(heading: str, root: Path, faults: Sequence[Fault]) -> None:
    """Log the faults of a data set in one warning, a line for each reason."""
    if not faults:
        return
    lines = sentences(faults, short=True)
    if lines != sentences(faults):
        lines.append("`detkit data check` names all of them")
    separator = " " if len(lines) == 1 else "\n  "
    LOGGER.warning("%s %s:%s%s", heading, root, separator, separator.join(lines))


def sentences(faults: Sequence[Fault], *, short: bool = False) -> list[str]:
    """One line per reason: the number, the reason and the files, at most ten of them if short."""
    kinds: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.what, fault.why].append(fault)
    return [_sentence(noun, reason, kind, short) for (noun, reason), kind in kinds.items()]


def _sentence(noun: str, reason: str, faults: Sequence[Fault], short: bool) -> str:
    details: dict[str, list[str]] = defaultdict(list)
    for fault in faults:
        details[fault.name] += [fault.detail] * bool(fault.detail)
    listed = list(details)[:NAMES_IN_A_WARNING] if short else list(details)
    names = ", ".join(_readable(name, details[name]) for name in listed)
    more = f" and {len(details) - len(listed):,} more" if len(listed) < len(details) else ""
    return f"{counted(len(faults), noun)} ({reason}): {names}{more}"


def _readable(name: str, details: list[str]) -> str:
    """A file with details; quoted and escaped if it contains newlines and the like."""
    text = name if name.isprintable() else repr(name)
    distinct = list(dict.fromkeys(details))
    more = f" and {len(distinct) - _DETAILS} more" if len(distinct) > _DETAILS else ""
    return f"{text} ({', '.join(distinct[:_DETAILS])}{more})" if distinct else text


def no_usable_image(root: Path, dropped: Sequence[Fault], pairing: Pairing) -> DataError:
    """The error for a data set without any usable image, with the reasons."""
    lone = describe_pairing(replace(pairing, images_without_annotation=[]))
    reasons = "; ".join(filter(None, [*sentences(dropped, short=True), lone]))
    if {fault.why for fault in dropped} - {"missing file"}:
        remedy = "correct these."
    else:
        remedy = "check that data.path is the folder that the annotations belong to."
    return DataError(f"no usable image in '{root}' ({reasons or 'it lists none'}): {remedy}")
