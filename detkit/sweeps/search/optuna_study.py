"""An Optuna study in one file on disk, which processes on several machines may share.

Each trial of the study is a job and records its folder, so that any process can resume the job of
a trial that no process runs. Needs Optuna.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from detkit.errors import UserError
from detkit.files import Lock, lock
from detkit.sweeps.search.optuna_samplers import (
    Pruner,
    Sampler,
    distributions,
    make_pruner,
    make_sampler,
)
from detkit.sweeps.search.search_identity import require_same_search
from detkit.sweeps.search.search_space import Space
from detkit.sweeps.search.study_journal import open_journal
from detkit.sweeps.search.trial import Trial, Words

NAME = "detkit"  # of the study in its file
MOST_CELLS = 10_000  # in smaller spaces, new cells are chosen from a list of all
MOST_DRAWS = 100  # attempts to draw a new configuration, in larger spaces
_FOLDER, _WORDS, _NOTE, _VOID, _PRUNED = "folder", "words", "note", "void", "pruned"
_STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_log = logging.getLogger("detkit.sweeps")


class StoredStudy:
    """Draws trials and stores their results.

    Args:
        file: The journal; it is created if it does not exist.
        space: The search space.
        sampler: How configurations are drawn.
        pruner: Decides which trials stop early.
        min_epochs: Epochs before a trial can be pruned.
        seed: Determines every draw, together with the number of the trial.
        direction: Whether a higher or a lower metric is better.

    Raises:
        UserError: The file belongs to another search, or is not an Optuna journal.
    """

    def __init__(
        self,
        file: Path,
        space: Space,
        *,
        sampler: Sampler = "tpe",
        pruner: Pruner = "none",
        min_epochs: int = 1,
        seed: int = 0,
        direction: Literal["maximize", "minimize"] = "maximize",
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.file, self.space, self.sampler, self.seed = file, space, sampler, seed
        self._folder = file.resolve().parent
        self._pruner = make_pruner(pruner, min_epochs)
        with self.drawing():
            self._storage = open_journal(file)
            self._study = optuna.create_study(
                study_name=NAME,
                storage=self._storage,
                sampler=make_sampler(sampler, seed),
                pruner=self._pruner,
                direction=direction,
                load_if_exists=True,
            )
            require_same_search(self._study, file, space, direction)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Keep other processes from drawing, and from taking over trials without a process.

        The system releases the lock when a process ends, however it ends.

        Raises:
            UserError: The folder cannot be written.
        """
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            opened = self.file.with_name(f"{self.file.name}.draws").open("a", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{self.file}: cannot be written: {error.strerror}.") from error
        with opened as file:
            if lock(file, wait=True) is Lock.UNSUPPORTED:
                _log.info("%s: has no locks; let one process search at a time", self.file.parent)
            yield

    def draw(self) -> Trial | None:
        """A configuration that no trial has had, or None if there is none; call it in `drawing`."""
        everything = self._study.get_trials(deepcopy=False)
        seen = {tuple(trial.user_attrs.get(_WORDS, ())) for trial in everything} - {()}
        for draws in range(MOST_DRAWS):
            if len(seen) >= self.space.size:
                return None
            if self.sampler == "grid" or (draws and self.space.size <= MOST_CELLS):
                self._study.enqueue_trial(self._new_cell(seen))
            asked = self._study.ask(distributions(self.space))
            words = tuple(self.space.words(asked.params))
            if words not in seen:
                asked.set_user_attr(_WORDS, list(words))
                return Trial(asked.number, words)
            self.void(asked.number, "drawn before")
        return None

    def _new_cell(self, seen: set[Words]) -> dict[str, str | int | float]:
        """The next cell of a grid, or a random new cell of another space."""
        new_cells = (c for c in self.space.cells() if tuple(self.space.words(c)) not in seen)
        if self.sampler == "grid":
            return next(new_cells)
        return random.Random(f"{self.seed} {len(seen)}").choice(list(new_cells))

    def assign(self, trial: Trial, folder: Path) -> None:
        """Store the folder of a trial's job relative to the journal, which machines share."""
        path = os.path.relpath(folder, self._folder)
        self._storage.set_trial_user_attr(self._id(trial.number), _FOLDER, path)

    def report(self, number: int, values: Mapping[int, float]) -> bool:
        """Store a trial's metric by epoch, from 1; return whether the trial must stop now."""
        for epoch in sorted(values):
            if self.record(number, {epoch: values[epoch]}):
                frozen = self._frozen(number)
                if self._pruner.prune(self._study, frozen):
                    self._storage.set_trial_user_attr(self._id(number), _PRUNED, True)
                    return True
        return False

    def record(self, number: int, values: Mapping[int, float]) -> bool:
        """Store a trial's metric by epoch, without pruning; return whether any value was new."""
        new = values.keys() - self._frozen(number).intermediate_values
        for epoch in sorted(new):
            self._storage.set_trial_intermediate_value(self._id(number), epoch, values[epoch])
        return bool(new)

    def complete(self, number: int, value: float | None) -> None:
        """End a trial with its metric; a trial without a metric has failed."""
        if value is None or math.isnan(value):
            self.fail(number, "its metric is not a number")
        else:
            self._study.tell(number, value, skip_if_finished=True)

    def prune(self, number: int) -> None:
        """End a trial early."""
        self._study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self, number: int, reason: str) -> None:
        """End a trial that failed."""
        if not self._frozen(number).state.is_finished():
            self._storage.set_trial_user_attr(self._id(number), _NOTE, reason)
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def void_lost(self) -> None:
        """Void trials whose process ended before they had a job; call it in `drawing`."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _FOLDER not in trial.user_attrs:
                self.void(trial.number, "its process ended before it started")

    def void(self, number: int, reason: str) -> None:
        """Void a trial, so that it does not count."""
        self._storage.set_trial_user_attr(self._id(number), _VOID, reason)
        self._study.tell(number, state=TrialState.FAIL)

    def trials(self) -> list[Trial]:
        """The trials that count, by number."""
        return [
            self._plain(trial)
            for trial in self._study.get_trials(deepcopy=False)
            if _WORDS in trial.user_attrs and _VOID not in trial.user_attrs
        ]

    def running(self) -> list[Trial]:
        """The trials that have not ended, in any process."""
        return [trial for trial in self.trials() if trial.state == "running"]

    def ranking(self) -> list[Trial]:
        """The trials from best to worst: finished ones, then pruned, running and failed ones."""
        order = ("done", "pruned", "running", "failed")
        sign = -1 if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

        def sort_key(trial: Trial) -> tuple[int, float, int]:
            value = math.inf if trial.value is None else sign * trial.value
            return order.index(trial.state), value, trial.number

        return sorted(self.trials(), key=sort_key)

    def _plain(self, trial: FrozenTrial) -> Trial:
        attributes = trial.user_attrs
        folder = attributes.get(_FOLDER)
        return Trial(
            number=trial.number,
            words=tuple(attributes[_WORDS]),
            folder=None if folder is None else (self._folder / folder).resolve(),
            pruned=bool(attributes.get(_PRUNED)),
            value=trial.value if trial.state.is_finished() else None,
            state=_STATES[trial.state],
            note=str(attributes.get(_NOTE, "")),
        )

    def _id(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(NAME)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))
