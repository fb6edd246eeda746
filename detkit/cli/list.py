"""`detkit list`: the parts of each family, read from the text of their sources."""

from __future__ import annotations

import inspect
import re
import shutil
import sys

from detkit import registry
from detkit.config.docstrings import citation_of, first_line
from detkit.errors import UserError
from detkit.plugin_files import failure_text

HELP = """
usage: detkit list [FAMILY] [--names]

Lists the parts that a configuration can name, by family, with what each is for and whose paper
it follows; `detkit describe NAME` has the paper's title and address.
Parts of plugins are listed with the plugin that brings them.

  FAMILY    one family only, such as neck or loss
  --names   `family name` lines and nothing else, for scripts

examples:
  detkit list
  detkit list loss
"""

_SHORTEST = 40  # columns in which it is still said what a part is for
_DOCSTRING = re.compile(r'\n    r?"""(.*?)"""', re.DOTALL)


def run(arguments: list[str]) -> None:
    """Print families and their parts.

    Raises:
        UserError: The family or an option does not exist.
    """
    families = [word for word in arguments if not word.startswith("-")]
    for option in set(arguments) - set(families) - {"--names"}:
        raise UserError(f"'detkit list' has no option '{option}'; it has --names.")
    if len(families) > 1:
        raise UserError(f"'detkit list' takes one family, got {' '.join(families)}.")
    registry.load_plugins()
    for family in families:
        registry.require_family(family)
    chosen = families or [f for f in registry.FAMILIES if registry.names(f)]
    if "--names" in arguments:
        print("\n".join(f"{family} {name}" for family in chosen for name in registry.names(family)))
    else:
        print("\n\n".join(family_text(family) for family in chosen))
    for plugin, error in registry.plugin_failures.items():
        print(f"warning: {failure_text(plugin, error)}", file=sys.stderr)


def family_text(family: str) -> str:
    """A family's heading and one line for each of its parts."""
    parts = [registry.part(family, name) for name in registry.names(family)]
    width = max((len(part.name) for part in parts), default=0)
    columns = shutil.get_terminal_size((10_000, 24)).columns  # a pipe gets whole lines
    lines = [f"{family}: {registry.FAMILIES[family]}"]
    for part in parts:
        text = docstring(part)
        citation = citation_of(text)
        end = f" [{citation}]" if citation else ""
        end += f" ({part.origin})" if part.origin != "detkit" else ""
        start = f"  {part.name:{width}}  {first_line(text)}"
        lines.append(_cut(_cut(start, max(columns - len(end), _SHORTEST)) + end, columns))
    return "\n".join(lines if parts else [*lines, "  no part is registered"])


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else f"{line[: max(columns - 3, 0)].rstrip()}..."


def docstring(part: registry.Part) -> str:
    """A part's docstring, from its text where it has not been imported."""
    if part.factory is not None:
        return inspect.getdoc(part.factory) or ""
    text = part.file.read_text(encoding="utf-8")
    decorator = re.compile(rf'^@register\(\s*"{part.family}",\s*"{re.escape(part.name)}"', re.M)
    found = decorator.search(text)
    after = text[found.end() :] if found else ""
    written = _DOCSTRING.search(after.split("\n@register(")[0])
    return inspect.cleandoc(written[1]) if written else ""
