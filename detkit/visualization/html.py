"""Render the HTML pages in `templates/`; each needs no other file and no network."""

from __future__ import annotations

import functools
import math
from typing import Any


def render(template: str, **values: Any) -> str:
    """Fill in a template; every value is escaped.

    Args:
        template: Name of a file in `templates/`.
        values: What the template uses; a missing one is an error.
    """
    return str(_templates().get_template(template).render(values))


def three_decimals(value: float) -> str:
    """A number, or a dash for NaN and infinity."""
    return f"{value:.3f}" if math.isfinite(value) else "–"  # noqa: RUF001  # no number


@functools.cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only pages need it

    environment = Environment(
        loader=PackageLoader("detkit.visualization"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["three_decimals"] = three_decimals
    return environment
