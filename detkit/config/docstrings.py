"""What a docstring tells a user: its first line, its paper, its help for each argument.

Takes the text, not the object, so that `detkit list` can read sources without importing them.
"""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^[A-Z][A-Za-z ]*:$")
_ARGUMENT = re.compile(r"^\*{0,2}(\w+)(?: \([^)]*\))?: ?(.*)$")


def first_line(docstring: str | None) -> str:
    """The first sentence or line of a docstring, or an empty text."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    return lines[0].strip() if lines else ""


def paper_of(docstring: str | None) -> str | None:
    """What follows `Paper:` up to the next blank line, section or paper; several are joined."""
    papers: list[str] = []
    reading = False
    for line in map(str.strip, inspect.cleandoc(docstring or "").splitlines()):
        if line.startswith("Paper:"):
            papers.append(line.removeprefix("Paper:").strip())
            reading = True
        elif not line or _SECTION.match(line):
            reading = False
        elif reading:
            papers[-1] += f" {line}"
    return "; ".join(papers) or None


def argument_help(docstring: str | None) -> dict[str, str]:
    """The text of each argument in the `Args:` section, continuation lines joined."""
    helps: dict[str, str] = {}
    indent, name = 0, ""
    for line in _section(inspect.cleandoc(docstring or "").splitlines(), "Args:"):
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        indent = indent or depth
        found = _ARGUMENT.match(text) if depth == indent else None
        if found:
            name = found[1]
            helps[name] = found[2]
        elif name:
            helps[name] = f"{helps[name]} {text}".strip()
    return helps


def _section(lines: list[str], title: str) -> list[str]:
    """The indented lines under a title, blank ones left out."""
    if title not in lines:
        return []
    body: list[str] = []
    for line in lines[lines.index(title) + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.strip():
            body.append(line)
    return body
