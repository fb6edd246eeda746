"""`detkit list`: list pages and the parts of each family, read from their source text."""

from __future__ import annotations

import inspect
import re
import shutil
import sys

from detkit import registry
from detkit.config.docstrings import citation_of, first_line
from detkit.config.page_list import GROUPS, opening_comment, page_groups, pages_of
from detkit.config.part_pages import all_names, find_part
from detkit.errors import UserError, did_you_mean
from detkit.plugin_files import failure_text
from detkit.text import align_columns

HELP = """
usage: detkit list [models|experiments|data|augmentations|callbacks|FAMILY] [--names]

Lists everything you can choose in a configuration: pages (whole detectors, experiments, data,
augmentations, sets of callbacks, searches), and the parts of each family with their purpose and
paper. `detkit describe NAME` shows a part's arguments and its paper's title and address.
Singular and plural both work. Entries from plugins or from your own folder `conf` are marked.

  FAMILY    such as backbone, neck, loss, optimizer, scheduler, logger, transform or reader
  --names   only `family name` lines, for scripts

examples:
  detkit list
  detkit list models
  detkit list losses
"""

_SHORTEST = 40  # minimum columns for a part's name and purpose
_DOCSTRING = re.compile(r'\n    r?"""(.*?)"""', re.DOTALL)
# Families to list with a group of pages, and synonyms of groups and families.
_WITH = {"data": ["reader"], "callbacks": ["callback"]}
_SYNONYMS = {
    "anchor": "priors",
    "architecture": "model",
    "callback": "callbacks",
    "config": "experiment",
    "dataset": "data",
    "format": "reader",
    "lr_scheduler": "scheduler",
    "network": "model",
    "nms": "postprocess",
    "page": "experiment",
    "postprocessor": "postprocess",
    "post_processor": "postprocess",
    "preset": "experiment",
    "recipe": "experiment",
    "schedule": "scheduler",
    "search": "sweep",
}


def run(arguments: list[str]) -> None:
    """Print pages, families and their parts.

    Raises:
        UserError: There is no such group, family or option.
    """
    subjects = [word for word in arguments if not word.startswith("-")]
    for option in set(arguments) - set(subjects) - {"--names"}:
        raise UserError(f"'detkit list' has no option '{option}'; it has --names.")
    if len(subjects) > 1:
        raise UserError(f"'detkit list' takes one family, got {' '.join(subjects)}.")
    registry.load_plugins()
    if subjects:
        groups, families = subject(subjects[0])
    else:
        groups = [] if "--names" in arguments else page_groups()
        families = [family for family in registry.FAMILIES if registry.names(family)]
    if "--names" in arguments:
        print("\n".join(_names(groups, families)))
    else:
        texts = [*map(group_text, groups), *map(family_text, families)]
        print("\n\n".join(texts))
    for plugin, error in registry.plugin_failures.items():
        print(f"warning: {failure_text(plugin, error)}", file=sys.stderr)


def subject(word: str) -> tuple[list[str], list[str]]:
    """The page groups and the families that a word, singular or plural, refers to.

    Raises:
        UserError: There is no such group or family.
    """
    name = word.lower().replace("-", "_")
    groups = page_groups()
    for form in (name, name.removesuffix("s"), name.removesuffix("es")):
        family = _SYNONYMS.get(form, form)
        if family == "detector":
            return ["model"], ["detector"]
        families = _WITH.get(family, [family] if family in registry.FAMILIES else [])
        if family in groups or families:
            return [family] if family in groups else [], families
    known_words = [*groups, *registry.FAMILIES]
    raise UserError(
        f"there is no family or group of pages called '{word}'.{did_you_mean(name, known_words)} "
        f"Known: {', '.join(dict.fromkeys(known_words))}."
    )


def _names(groups: list[str], families: list[str]) -> list[str]:
    lines = [f"{group} {page.name}" for group in groups for page in pages_of(group)]
    return lines + [f"{family} {name}" for family in families for name in all_names(family)]


def group_text(group: str) -> str:
    """A group's heading and one line for each of its pages."""
    pages = pages_of(group)
    about = GROUPS.get(group, f"pages, chosen with {group}=NAME")
    lines = [f"{group}: {about}"]
    rows = align_columns([(page.name, page.text) for page in pages])
    for page, row in zip(pages, rows, strict=True):
        end = f" ({page.origin})" if page.origin != "detkit" else ""
        lines.append(_line(f"  {row}", end))
    return "\n".join(lines)


def _line(start: str, end: str) -> str:
    """A line of a list; if it is too long for the terminal, its start is cut."""
    columns = shutil.get_terminal_size((10_000, 24)).columns  # a pipe gets whole lines
    return _cut(_cut(start, max(columns - len(end), _SHORTEST)) + end, columns).rstrip()


def family_text(family: str) -> str:
    """A family's heading and one line for each of its parts."""
    parts = [find_part(family, name) for name in all_names(family)]
    lines = [f"{family}: {registry.FAMILIES[family]}"]
    texts = [docstring(part) for part in parts]
    rows = align_columns([(p.name, first_line(t)) for p, t in zip(parts, texts, strict=True)])
    for part, text, row in zip(parts, texts, rows, strict=True):
        citation = citation_of(text)
        end = f" [{citation}]" if citation else ""
        end += f" ({part.origin})" if part.origin != "detkit" else ""
        lines.append(_line(f"  {row}", end))
    return "\n".join(lines if parts else [*lines, "  no part is registered"])


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else f"{line[: max(columns - 3, 0)].rstrip()}..."


def docstring(part: registry.Part) -> str:
    """A part's docstring, from its text if it has not been imported; a page's opening comment."""
    if part.file.suffix == ".yaml":
        return opening_comment(part.file)
    if part.factory is not None:
        return inspect.getdoc(part.factory) or ""
    text = part.file.read_text(encoding="utf-8")
    decorator = re.compile(rf'^@register\(\s*"{part.family}",\s*"{re.escape(part.name)}"', re.M)
    match = decorator.search(text)
    after = text[match.end() :] if match else ""
    docstring_match = _DOCSTRING.search(after.split("\n@register(")[0])
    return inspect.cleandoc(docstring_match[1]) if docstring_match else ""
