"""`detkit list`: the parts of each family, read from the text of their sources."""

from __future__ import annotations

import re
import shutil
import sys

from detkit import registry
from detkit.config.signatures import summary
from detkit.errors import UserError

HELP = """
usage: detkit list [FAMILY] [--names]

Lists the parts that a configuration can name, by family, with what each is for.
Parts of plugins are listed with the plugin that brings them.

  FAMILY    one family only, such as neck or loss
  --names   `family name` lines and nothing else, for scripts

examples:
  detkit list
  detkit list loss
"""

_DOCSTRING = re.compile(r'\n    r?"""(.*?)(?:"""|\n)')


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
        print(
            f"warning: plugin '{plugin}' could not be loaded: {type(error).__name__}: {error}",
            file=sys.stderr,
        )


def family_text(family: str) -> str:
    """A family's heading and one line for each of its parts."""
    parts = [registry.part(family, name) for name in registry.names(family)]
    width = max((len(part.name) for part in parts), default=0)
    columns = shutil.get_terminal_size((10_000, 24)).columns  # a pipe gets whole lines
    lines = [f"{family}: {registry.FAMILIES[family]}"]
    for part in parts:
        text = part_summary(part)
        if part.origin != "detkit":
            text = f"{text} ({part.origin})"
        lines.append(_cut(f"  {part.name:{width}}  {text}", columns))
    return "\n".join(lines if parts else [*lines, "  no part is registered"])


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else f"{line[: columns - 3].rstrip()}..."


def part_summary(part: registry.Part) -> str:
    """The first line of a part's docstring, from its text where it has not been imported."""
    if part.factory is not None:
        return summary(part.factory)
    text = part.file.read_text(encoding="utf-8")
    decorator = re.compile(rf'^@register\(\s*"{part.family}",\s*"{re.escape(part.name)}"', re.M)
    found = decorator.search(text)
    after = text[found.end() :] if found else ""
    docstring = _DOCSTRING.search(after.split("\n@register(")[0])
    return docstring[1].strip() if docstring else ""
