"""An Optuna study in one file on disk, which processes of several machines may work on at once.

Every trial of the study is a job: its folder stands in the trial, so that a process that finds a
trial which nobody runs goes on with its job, as the same trial. Needs Optuna.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from detkit.sweeps.search.search_space import Space
from detkit.sweeps.search.study_journal import open_journal

Words = tuple[str, ...]
NAME = "detkit"  # of the study in its file
MOST_CELLS = 10_000  # of which the remaining ones are listed to choose a new one
MOST_DRAWS = 100  # of configurations that there have been already, in spaces that are larger
_FOLDER, _WORDS, _NOTE, _VOID, _PRUNED = "folder", "words", "note", "void", "pruned"
_SEARCH = "search"
_STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_log = logging.getLogger("detkit.sweeps")


@dataclass(frozen=True)
class Trial:
    """One drawn configuration.

    Args:
        number: Its number in the study, from 0.
        words: Its drawn words.
        folder: Where its job runs; None before it has one.
        pruned: Whether it has been decided that it ends.
        value: Its metric once it has ended.
        state: `running`, `done`, `pruned` or `failed`.
        note: Why it has failed.
    """

    number: int
    words: Words
    folder: Path | None = None
    pruned: bool = False
    value: float | None = None
    state: str = "running"
    note: str = ""


class StoredStudy:
    """Draws trials and keeps what becomes of them.

    Args:
        file: The journal; it is made where there is none.
        space: What is searched.
        sampler: How configurations are drawn.
        pruner: What decides that a trial ends early.
        min_epochs: Epochs that no trial is pruned in.
        seed: Every draw follows from it and from the number of the trial.
        direction: Whether the metric is to be high or low.

    Raises:
        UserError: The file holds another search, or is no journal of Optuna's.
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
            self._require_same(direction)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Keep all others from drawing, and from taking a trial that has no process yet.

        The system lets go of the lock when a process ends, however it ends.

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
        """A configuration that no trial has had, or None when none is found; while `drawing`."""
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
        """The next cell of a grid, or any new one."""
        new = (cell for cell in self.space.cells() if tuple(self.space.words(cell)) not in seen)
        if self.sampler == "grid":
            return next(new)
        return random.Random(f"{self.seed} {len(seen)}").choice(list(new))

    def assign(self, trial: Trial, folder: Path) -> None:
        """Keep where a trial's job runs, seen from the journal, which other machines mount too."""
        path = os.path.relpath(folder, self._folder)
        self._storage.set_trial_user_attr(self._id(trial.number), _FOLDER, path)

    def report(self, number: int, values: Mapping[int, float]) -> bool:
        """Keep a trial's metric by epoch, from 1; returns whether the trial shall end here."""
        for epoch in sorted(values):
            if self.record(number, {epoch: values[epoch]}):
                frozen = self._frozen(number)
                if self._pruner.prune(self._study, frozen):
                    self._storage.set_trial_user_attr(self._id(number), _PRUNED, True)
                    return True
        return False

    def record(self, number: int, values: Mapping[int, float]) -> bool:
        """Keep a trial's metric by epoch without a thought of ending it; whether any was new."""
        new = values.keys() - self._frozen(number).intermediate_values
        for epoch in sorted(new):
            self._storage.set_trial_intermediate_value(self._id(number), epoch, values[epoch])
        return bool(new)

    def complete(self, number: int, value: float | None) -> None:
        """End a trial with its metric; without one it has failed."""
        if value is None or math.isnan(value):
            self.fail(number, "its metric is not a number")
        else:
            self._study.tell(number, value, skip_if_finished=True)

    def prune(self, number: int) -> None:
        """End a trial early."""
        self._study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self, number: int, reason: str) -> None:
        """End a trial that did not come to its end."""
        if not self._frozen(number).state.is_finished():
            self._storage.set_trial_user_attr(self._id(number), _NOTE, reason)
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def void_lost(self) -> None:
        """Take back trials whose process ended before they had a job; while `drawing`."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _FOLDER not in trial.user_attrs:
                self.void(trial.number, "its process ended before it started")

    def void(self, number: int, reason: str) -> None:
        """Take a trial back, so that it counts as none."""
        self._storage.set_trial_user_attr(self._id(number), _VOID, reason)
        self._study.tell(number, state=TrialState.FAIL)

    def trials(self) -> list[Trial]:
        """The trials that count, in their order."""
        return [
            self._plain(trial)
            for trial in self._study.get_trials(deepcopy=False)
            if _WORDS in trial.user_attrs and _VOID not in trial.user_attrs
        ]

    def running(self) -> list[Trial]:
        """The trials that have not ended, whoever runs them."""
        return [trial for trial in self.trials() if trial.state == "running"]

    def ranking(self) -> list[Trial]:
        """The trials, the best of those that were trained to their end first, failed ones last."""
        order = ("done", "pruned", "running", "failed")
        sign = -1 if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

        def place(trial: Trial) -> tuple[int, float, int]:
            value = math.inf if trial.value is None else sign * trial.value
            return order.index(trial.state), value, trial.number

        return sorted(self.trials(), key=place)

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

    def _require_same(self, direction: str) -> None:
        """Keep what is searched, and refuse a study of something else."""
        search = {"direction": direction, "space": self.space.lines()}
        stored = self._study.user_attrs.get(_SEARCH)
        if stored is None:
            self._study.set_user_attr(_SEARCH, search)
        elif stored != json.loads(json.dumps(search)):
            before, now = _lines(stored), _lines(search)
            changes = [f"+ {line}" for line in now if line not in before]
            changes += [f"- {line}" for line in before if line not in now]
            lines = "".join(f"\n  {change}" for change in changes)
            raise UserError(
                f"{self.file}: holds the study of another search, which has (-) or has not (+)"
                f"{lines}\nRepeat the words that it was started with (trials, sampler, pruner and "
                "devices may change), or start a new one with another hydra.sweep.dir or "
                "hydra.sweeper.storage."
            )


def _lines(search: Mapping[str, object]) -> list[str]:
    space = search["space"]
    return [f"direction {search['direction']}", *(space if isinstance(space, list) else [])]
