"""One promise of a family, checked on one part, and how a broken one is told."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import SkipTest

import torch

from detkit import assembly, registry
from detkit.config.checks.schema import check
from detkit.config.pages import default_value
from detkit.config.signatures import arguments, check_value
from detkit.errors import ConfigError, UserError

CLASS_NAMES = ["cat", "dog", "bird"]
WIRING: Mapping[str, Any] = {
    "class_names": CLASS_NAMES,
    "category_ids": [3, 7, 8],
    "num_classes": len(CLASS_NAMES),
    "fetch_weights": False,
    "seed": 0,
}


class BrokenContractError(UserError):
    """A part does not do what its family promises.

    Attributes:
        said: What was promised, what came and what to change.
    """

    def __init__(self, said: str, heading: str = "") -> None:
        self.said = said
        super().__init__(f"{heading}{said}")


class LeftOutError(SkipTest):
    """A promise that cannot be checked here; says why. pytest shows it as a skipped test."""


@dataclass(frozen=True)
class Subject:
    """The part that is checked.

    Attributes:
        family: Its family.
        name: Its name.
        file: The file that defines it.
        values: Values of its constructor, checked and complete.
        data: For readers: a folder with a data set of their format.
    """

    family: str
    name: str
    file: Path
    values: Mapping[str, Any]
    data: Path | None = None

    def build(self, **wiring: Any) -> Any:
        """The part with its first random weights, as assembly builds it.

        Args:
            wiring: Wired values beside those of the classes.
        """
        torch.manual_seed(0)
        node = {"name": self.name, **self.values}
        return assembly.build(self.family, node, {**WIRING, **wiring}, (self.family,))

    def with_all_detections(self) -> Subject:
        """The same part, whose post-processors let every score through, where they can be told.

        Scores of random weights are often too low for any detection.
        """
        changed = dict(self.values)
        for argument in arguments(registry.get(self.family, self.name)).values():
            if argument.slot is not None and argument.slot.family == "postprocess":
                node = changed[argument.name]
                if node is not None and "score_threshold" in node:
                    changed[argument.name] = {**node, "score_threshold": 0.0}
        return replace(self, values=changed)


def subject(family: str, name: str, values: Mapping[str, Any], data: Path | None) -> Subject:
    """A part with the values that are given, and its defaults for the others.

    Raises:
        UserError: There is no such part, or its constructor cannot be read.
        ConfigError: A value does not fit, or one without default is missing.
    """
    factory, file = registry.get(family, name), registry.part(family, name).file
    for argument in arguments(factory).values():
        if argument.wired or argument.slot is not None or argument.required:
            continue
        expected = check_value(argument.annotation, default_value(argument))
        if expected is not None:
            raise UserError(
                f"{family} '{name}' ({file}): the default of '{argument.name}' is "
                f"{argument.default!r}, expected {expected}: change the default or the annotation."
            )
    return Subject(family, name, file, check(factory, {**values}), data)


@dataclass(frozen=True)
class Case:
    """A promise to be checked on a part: call it, and it raises BrokenContractError or nothing.

    Attributes:
        subject: The part.
        check: The check; its name says what is promised.
    """

    subject: Subject
    check: Callable[[Subject], None]

    @property
    def title(self) -> str:
        """What is promised."""
        return self.check.__name__.replace("_", " ")

    def __str__(self) -> str:
        return self.title

    def __call__(self) -> None:
        """Check it; random generators are left as they were.

        Raises:
            BrokenContractError: The part does not keep the promise, or raises an error.
            LeftOutError: The promise cannot be checked on this part.
        """
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a warning of a library breaks no promise
                torch.manual_seed(0)
                self.check(self.subject)
        except BrokenContractError as error:
            raise BrokenContractError(error.said, self._heading()) from error
        except LeftOutError:
            raise
        except (Exception, SystemExit) as error:  # a part may fail in any way
            said = self._said_of(error)
            raise BrokenContractError(said, self._heading()) from error

    def _heading(self) -> str:
        about = f"{self.subject.family} '{self.subject.name}' ({self.subject.file})"
        return f"{about} breaks the promise '{self.title}': "

    def _said_of(self, error: BaseException) -> str:
        """An error that the part raised, with the last line of its own code on the way."""
        if isinstance(error, ConfigError):  # assembly has put the part's own error into words
            return f"it refuses to be built: {error}"
        text = str(error).strip().partition("\n")[0] or "without a message"
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self._owns(frame)]
        if not frames:
            return f"{type(error).__name__}: {text}"
        last = frames[-1]
        place = f"{last.filename}:{last.lineno}"
        return f"it raised {type(error).__name__}: {text} (at {place}: {last.line})"

    def _owns(self, frame: traceback.FrameSummary) -> bool:
        """Whether a frame is of the part's file, or of its package."""
        file, own = Path(frame.filename), self.subject.file
        folder = own.parent if (own.parent / "__init__.py").is_file() else None
        return file == own or (folder is not None and file.is_relative_to(folder))
