"""The outcome of a search: its table, its best trial, and whether it failed."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from detkit.config.part_overrides import subject
from detkit.sweeps.search.optuna_study import StoredStudy
from detkit.sweeps.search.trial import Trial
from detkit.text import LONGEST_CELL, align_columns, counted, split_setting

MOST_ROWS = 20
_STATES = ("done", "pruned", "failed", "running")  # in the order of the counts


def report(study: StoredStudy, metric: str, words: Sequence[str]) -> list[str]:
    """A table with the best trials first, and the command that trains the best one again.

    Args:
        study: The study of the search.
        metric: Name of the metric that was optimised.
        words: The overrides that were typed.
    """
    ranking = study.ranking()
    keys = [dimension.key for dimension in study.space.dimensions]
    rows = [["trial", "state", metric, *keys], *map(_row, ranking[:MOST_ROWS])]
    lines = align_columns(rows, (0, 2), longest=LONGEST_CELL)
    if len(ranking) > MOST_ROWS:
        lines.append(f"... and {len(ranking) - MOST_ROWS:,} more")
    counts = Counter(trial.state for trial in ranking)
    states = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
    lines.append(f"{counted(len(ranking), 'trial')}: {states}")
    lines += [f"failed: trial {t.number}: {t.note}" for t in ranking if t.state == "failed"]
    if ranking and ranking[0].state == "done":
        best = ranking[0]
        fixed_words = [word for word in words if not _is_searched(word, keys)]
        lines.append(f"best: trial {best.number}, {metric} {best.value:.4f}, {best.folder}")
        lines.append(f"  {shlex.join(['detkit', 'train', *fixed_words, *best.words])}")
    return lines


def failure(trials: Sequence[Trial], skip_bad: bool) -> str | None:
    """The reason a search counts as failed: a trial failed or could not be composed; else None.

    Args:
        trials: All trials.
        skip_bad: Whether trials that cannot be composed are allowed if others succeed.
    """
    failed = [trial for trial in trials if trial.state == "failed"]
    if skip_bad and any(trial.state in ("done", "pruned") for trial in trials):
        failed = [trial for trial in failed if trial.folder is not None]
    if not failed:
        return None
    return f"{counted(len(failed), 'trial')} failed; the first: {failed[0].note}"


def _row(trial: Trial) -> list[str]:
    value = "" if trial.value is None else f"{trial.value:.4f}"
    drawn_values = dict(map(split_setting, trial.words)).values()
    return [str(trial.number), trial.state, value, *drawn_values]


def _is_searched(word: str, keys: Sequence[str]) -> bool:
    """Whether a word concerns the search; the others are settings that all trials share."""
    if word.startswith("-") or "=" not in word:  # a flag, or its argument
        return False
    drawn = {subject(f"{key}=value") for key in keys}
    return word.lstrip("+~").startswith(("hydra.", "hydra/")) or subject(word) in drawn
