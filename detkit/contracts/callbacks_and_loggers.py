"""What callbacks and loggers promise: a training runs with them as it runs without."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers.logger import Logger

from detkit.contracts.case import BrokenContractError, LeftOutError, Subject
from detkit.contracts.tensor_checks import require
from detkit.contracts.tiny_training import STEPS, Training, quiet
from detkit.errors import did_you_mean


@contextmanager
def _in_folder(subject: Subject) -> Iterator[tuple[Any, Path]]:
    """The part, whose run writes into a folder that is gone afterwards, and that folder."""
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            part = subject.build(run_folder=folder)
        yield part, Path(folder)


def _training(folder: Path, part: Any, epochs: int = 2) -> Training:
    """A training with the part, whichever of both it is."""
    if isinstance(part, Logger):
        return Training(folder, loggers=[part], epochs=epochs)
    return Training(folder, callbacks=[part], epochs=epochs)


@cache
def _losses_without_parts() -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        return Training(Path(folder)).run()


def it_is_what_lightning_takes(subject: Subject) -> None:
    """A `lightning.pytorch.Callback`, or a `Logger`."""
    kind: type = Logger if subject.family == "logger" else pl.Callback
    with _in_folder(subject) as (part, _):
        require(
            isinstance(part, kind),
            f"{type(part).__name__} is no {kind.__module__.split('.')[0]} {kind.__name__}: inherit "
            f"from lightning.pytorch's {kind.__name__}.",
        )


def hooks_have_lightnings_signatures(subject: Subject) -> None:
    """Each `on_...` method is a hook that Lightning calls, with the arguments that it gives."""
    with _in_folder(subject) as (part, _):
        for name, hook in inspect.getmembers(type(part), inspect.isfunction):
            theirs = getattr(pl.Callback, name, None)
            if theirs is None and name.startswith("on_"):
                known = [each for each in dir(pl.Callback) if each.startswith("on_")]
                raise BrokenContractError(
                    f"Lightning never calls `{name}`.{did_you_mean(name, known)}"
                )
            if inspect.isfunction(theirs) and hook is not theirs:
                _require_callable_alike(name, hook, theirs)


def _require_callable_alike(name: str, hook: Any, theirs: Any) -> None:
    expected = inspect.signature(theirs).parameters.values()
    given = [each for each in expected if each.default is each.empty]
    named = {each.name: None for each in given if each.name.endswith("_idx")}
    try:
        positional = [None] * (len(given) - len(named))
        inspect.signature(hook).bind(*positional, **named)
        inspect.signature(hook).bind(*[None] * len(given))
    except TypeError as error:
        wanted = ", ".join(each.name for each in expected)
        raise BrokenContractError(
            f"`{name}` cannot be called as Lightning does ({error}): take ({wanted})."
        ) from error


def a_training_goes_as_without_it(subject: Subject) -> None:
    """The same losses in each step: it draws no random numbers, and leaves weights as they are.

    It may end the training early. One that is there to change the training says so with
    `changes_training = True` on its class.
    """
    with _in_folder(subject) as (part, folder):
        if getattr(part, "changes_training", False):
            raise LeftOutError("it says that it changes the training (`changes_training`)")
        expected = _losses_without_parts()
        found = _training(folder / "with", part).run()
        for step, (ours, theirs) in enumerate(zip(found, expected, strict=False), start=1):
            require(
                ours == theirs,
                f"at step {step} the loss is {ours:.6g}, without it {theirs:.6g}: draw random "
                "numbers from a generator of your own, and put weights back that you change; if it "
                "is meant to change the training, set `changes_training = True` on the class.",
            )
        fewest = STEPS  # a callback may stop the training after an epoch
        require(len(found) >= fewest, f"the training ended after {len(found)} of {fewest} steps.")


def a_training_goes_on_from_its_checkpoint(subject: Subject) -> None:
    """What it keeps in checkpoints is tensors and plain values, and is taken up again."""
    with _in_folder(subject) as (part, folder):
        first = _training(folder / "first", part, epochs=1)
        first.run()
        file = folder / "saved.ckpt"
        with quiet():
            first.trainer.save_checkpoint(file)
        try:
            torch.load(file, weights_only=True)
        except Exception as error:  # whatever unpickling meets
            reason = str(error).strip().partition("\n")[0]
            raise BrokenContractError(
                f"a checkpoint cannot be read as tensors and plain values any more ({reason}): "
                "keep numbers, strings, lists, dicts and tensors in `state_dict`."
            ) from error
        with quiet():
            again = subject.build(run_folder=str(folder / "again"))
        second = _training(folder / "second", again)
        history = second.run(resume=file)
        require(
            len(history) == STEPS,
            f"resumed after one of two epochs, {len(history)} steps were done, expected {STEPS}.",
        )


def numbers_and_text_are_taken(subject: Subject) -> None:
    """`log_metrics` and `log_hyperparams`, then `save` and `finalize`."""
    with _in_folder(subject) as (part, _), quiet():
        part.log_metrics({"loss": 0.5, "val/AP": 0.25}, step=1)
        part.log_hyperparams({"model": {"name": "fcos"}, "seed": 0, "path": None})
        part.save()
        part.finalize("success")
