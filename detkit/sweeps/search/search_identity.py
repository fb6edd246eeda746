"""Identity of a study's search, stored so that no other search continues it. Needs Optuna."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import optuna

from detkit.errors import UserError
from detkit.sweeps.search.search_space import Space

_ATTRIBUTE = "search"


def require_same_search(study: optuna.Study, file: Path, space: Space, direction: str) -> None:
    """Store the space and the direction in a new study; refuse a study with others.

    Args:
        study: The study.
        file: Its journal, for the message.
        space: The search space.
        direction: `maximize` or `minimize`.

    Raises:
        UserError: The study belongs to another search.
    """
    search = {"direction": direction, "space": space.lines()}
    stored = study.user_attrs.get(_ATTRIBUTE)
    if stored is None:
        study.set_user_attr(_ATTRIBUTE, search)
    elif stored != json.loads(json.dumps(search)):
        before, now = _lines(stored), _lines(search)
        changes = [f"+ {line}" for line in now if line not in before]
        changes += [f"- {line}" for line in before if line not in now]
        lines = "".join(f"\n  {change}" for change in changes)
        raise UserError(
            f"{file}: belongs to another search; this one adds (+) and lacks (-):{lines}\n"
            "Repeat the overrides that it was started with (trials, sampler, pruner and devices "
            "may change), or start a new search with another hydra.sweep.dir or "
            "hydra.sweeper.storage."
        )


def _lines(search: Mapping[str, object]) -> list[str]:
    space = search["space"]
    return [f"direction {search['direction']}", *(space if isinstance(space, list) else [])]
