"""Read docstrings for users: the summary, the paper, the help for each argument.

Takes the text, not the object, so that `detkit list` can read sources without importing them.
"""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^[A-Z][A-Za-z ]*:$")
_CITATION = re.compile(r"\(([^()]*, (?:19|20)\d\d)\)")
_ARGUMENT = re.compile(r"^\*{0,2}(\w+)(?: \([^)]*\))?: ?(.*)$")


def first_line(docstring: str | None) -> str:
    """The first sentence or line of a docstring, or an empty text."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    return lines[0].strip() if lines else ""


def paper_of(docstring: str | None) -> str | None:
    """The text after `Paper:` up to the next blank line, section or paper; several are joined."""
    papers = [text for text in _blocks(docstring) if text.startswith("Paper:")]
    return "; ".join(text.removeprefix("Paper:").strip() for text in papers) or None


def body_of(docstring: str | None) -> list[str]:
    """The paragraphs between the first line and the first section, without papers."""
    return [text for text in _blocks(docstring)[1:] if not text.startswith("Paper:")]


def citation_of(docstring: str | None) -> str | None:
    """Authors and year of the papers, from the brackets."""
    return "; ".join(_CITATION.findall(paper_of(docstring) or "")) or None


def _blocks(docstring: str | None) -> list[str]:
    """First line, paragraphs and papers up to the first section, each joined to one line."""
    blocks: list[list[str]] = []
    begins = True
    for line in map(str.strip, inspect.cleandoc(docstring or "").splitlines()):
        if _SECTION.match(line):
            break
        if line and (begins or line.startswith("Paper:")):
            blocks.append([])
        if line:
            blocks[-1].append(line)
        begins = not line
    return [" ".join(block) for block in blocks]


def argument_help(docstring: str | None) -> dict[str, str]:
    """The text of each argument in the `Args:` section, continuation lines joined."""
    helps: dict[str, str] = {}
    indent, name = 0, ""
    for line in _section(inspect.cleandoc(docstring or "").splitlines(), "Args:"):
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        indent = indent or depth
        match = _ARGUMENT.match(text) if depth == indent else None
        if match:
            name = match[1]
            helps[name] = match[2]
        elif name:
            helps[name] = f"{helps[name]} {text}".strip()
    return helps


def _section(lines: list[str], title: str) -> list[str]:
    """The indented lines under a title, without blank lines."""
    if title not in lines:
        return []
    body: list[str] = []
    for line in lines[lines.index(title) + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.strip():
            body.append(line)
    return body
