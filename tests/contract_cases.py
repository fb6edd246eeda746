"""Each contract of detkit's own parts as a test, as plugins are checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from detkit import registry
from detkit.contracts import Case, cases

# Each takes a second.
EXPORTS = ("exported program gives the same outputs", "it exports for any batch and size")


def builtin(family: str) -> list[str]:
    """The names of detkit's own parts in a family."""
    known = registry.names(family)
    return [name for name in known if registry.part(family, name).origin == "detkit"]


def each_promise(
    family: str,
    *,
    names: Collection[str] | None = None,
    needed: Mapping[str, Mapping[str, Any]] | None = None,
    quick: Collection[str] | None = None,
    exported: Collection[str] = (),
) -> Any:
    """One test for each promise of each part of a family, as argument `case`.

    Args:
        family: The family.
        names: Pages or parts to check; None checks detkit's registered parts.
        needed: By name, what a part needs besides its defaults.
        quick: Parts that are checked by default, the others in slow tests; None checks all.
        exported: Of these, parts whose export is checked by default.
    """
    found = []
    for name in builtin(family) if names is None else names:
        for case in cases(family, name, **(needed or {}).get(name, {})):
            slow = quick is not None and name not in quick
            slow = slow or (str(case) in EXPORTS and name not in exported)
            marks = [pytest.mark.slow] if slow else []
            found.append(pytest.param(case, marks=marks, id=_id(case)))
    return pytest.mark.parametrize("case", found)


def _id(case: Case) -> str:
    return f"{case.subject.family}-{case.subject.name}-{str(case).replace(' ', '_')}"
