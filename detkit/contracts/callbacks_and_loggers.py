"""Contracts of callbacks and loggers: they do not change the training."""

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
    """The part, built for a run in a temporary folder, and that folder."""
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            part = subject.build(run_folder=folder)
        yield part, Path(folder)


def _training(folder: Path, part: Any, epochs: int = 2) -> Training:
    """A training with the callback or logger."""
    if isinstance(part, Logger):
        return Training(folder, loggers=[part], epochs=epochs)
    return Training(folder, callbacks=[part], epochs=epochs)


@cache
def _losses_without_parts() -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        return Training(Path(folder)).run()


def it_has_lightnings_type(subject: Subject) -> None:
    """A `lightning.pytorch.Callback`, or a `Logger`."""
    kind: type = Logger if subject.family == "logger" else pl.Callback
    with _in_folder(subject) as (part, _):
        require(
            isinstance(part, kind),
            f"{type(part).__name__} is not a {kind.__module__.split('.')[0]} {kind.__name__}: "
            f"inherit from lightning.pytorch's {kind.__name__}.",
        )


def hooks_match_lightnings_signatures(subject: Subject) -> None:
    """Each `on_...` method is a hook of Lightning's, with the arguments that Lightning passes."""
    with _in_folder(subject) as (part, _):
        for name, hook in inspect.getmembers(type(part), inspect.isfunction):
            theirs = getattr(pl.Callback, name, None)
            if theirs is None and name.startswith("on_"):
                hooks = [hook for hook in dir(pl.Callback) if hook.startswith("on_")]
                raise BrokenContractError(
                    f"Lightning never calls `{name}`.{did_you_mean(name, hooks)}"
                )
            if inspect.isfunction(theirs) and hook is not theirs:
                _require_callable_alike(name, hook, theirs)


def _require_callable_alike(name: str, hook: Any, theirs: Any) -> None:
    expected = inspect.signature(theirs).parameters.values()
    required = [argument for argument in expected if argument.default is argument.empty]
    named = {argument.name: None for argument in required if argument.name.endswith("_idx")}
    try:
        positional = [None] * (len(required) - len(named))
        inspect.signature(hook).bind(*positional, **named)
        inspect.signature(hook).bind(*[None] * len(required))
    except TypeError as error:
        arguments = ", ".join(argument.name for argument in expected)
        raise BrokenContractError(
            f"`{name}` cannot be called with Lightning's arguments ({arguments}): {error}."
        ) from error


def training_is_unchanged(subject: Subject) -> None:
    """Each step has the same loss as without the part: no random numbers drawn, no weights changed.

    It may end the training early. A callback that is meant to change the training sets
    `changes_training = True` on its class.
    """
    with _in_folder(subject) as (part, folder):
        if getattr(part, "changes_training", False):
            raise LeftOutError("it declares that it changes the training (`changes_training`)")
        expected = _losses_without_parts()
        losses = _training(folder / "with", part).run()
        for step, (loss, reference) in enumerate(zip(losses, expected, strict=False), start=1):
            require(
                loss == reference,
                f"at step {step} the loss is {loss:.6g}, without the part {reference:.6g}: draw "
                "random numbers from your own generator, and restore weights that you change; if "
                "it is meant to change the training, set `changes_training = True` on the class.",
            )
        fewest = STEPS  # a callback may stop the training after an epoch
        require(len(losses) >= fewest, f"the training ended after {len(losses)} of {fewest} steps.")


def training_resumes_from_its_checkpoint(subject: Subject) -> None:
    """Its state in checkpoints is tensors and plain values, and a resumed run loads it."""
    with _in_folder(subject) as (part, folder):
        first = _training(folder / "first", part, epochs=1)
        first.run()
        file = folder / "saved.ckpt"
        with quiet():
            first.trainer.save_checkpoint(file)
        try:
            torch.load(file, weights_only=True)
        except Exception as error:  # unpickling can fail in many ways
            reason = str(error).strip().partition("\n")[0]
            raise BrokenContractError(
                f"a checkpoint with its state cannot be loaded with weights_only=True ({reason}): "
                "return only numbers, strings, lists, dicts and tensors from `state_dict`."
            ) from error
        with quiet():
            again = subject.build(run_folder=str(folder / "again"))
        second = _training(folder / "second", again)
        history = second.run(resume=file)
        require(
            len(history) == STEPS,
            f"resumed after one of two epochs, it trained {len(history)} steps, expected {STEPS}.",
        )


def metrics_and_hyperparameters_are_logged(subject: Subject) -> None:
    """`log_metrics` and `log_hyperparams`, then `save` and `finalize`."""
    with _in_folder(subject) as (part, _), quiet():
        part.log_metrics({"loss": 0.5, "val/AP": 0.25}, step=1)
        part.log_hyperparams({"model": {"name": "fcos"}, "seed": 0, "path": None})
        part.save()
        part.finalize("success")
