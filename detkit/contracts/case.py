"""A check of one promise of a family on one part, and the error if the part breaks it."""

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
from detkit.config.part_pages import find_part, part_node
from detkit.config.signatures import arguments, check_value
from detkit.errors import ConfigError, UserError
from detkit.structures import ClassCounts

CLASS_NAMES = ["cat", "dog", "bird"]
WIRING: Mapping[str, Any] = {
    "class_names": CLASS_NAMES,
    "category_ids": [3, 7, 8],
    "num_classes": len(CLASS_NAMES),
    "class_counts": ClassCounts(images=100, images_with_class=[60, 30, 20], objects=[90, 40, 20]),
    "fetch_weights": False,
    "seed": 0,
}


class BrokenContractError(UserError):
    """A part breaks a promise of its family.

    Attributes:
        message: What the part did, what was expected and what to change.
    """

    def __init__(self, message: str, heading: str = "") -> None:
        self.message = message
        super().__init__(f"{heading}{message}")


class LeftOutError(SkipTest):
    """A promise that cannot be checked on this part; pytest reports the test as skipped."""


@dataclass(frozen=True)
class Subject:
    """The part that is checked.

    Attributes:
        family: Its family.
        name: Its name.
        file: The file that defines it.
        values: The arguments of its constructor, complete and validated.
        data: For readers: a folder with a data set in their format.
        page_of: The part behind the page of this name; None if `name` is a part itself.
    """

    family: str
    name: str
    file: Path
    values: Mapping[str, Any]
    data: Path | None = None
    page_of: str | None = None

    @property
    def factory(self) -> Callable[..., Any]:
        """The class or function that builds it."""
        return registry.get(self.family, self.page_of or self.name)

    def build(self, **wiring: Any) -> Any:
        """Build the part with fresh random weights, as assembly does.

        Args:
            wiring: Wired values in addition to the classes'.
        """
        torch.manual_seed(0)
        node = {"name": self.page_of or self.name, **self.values}
        return assembly.build(self.family, node, {**WIRING, **wiring}, (self.family,))

    def with_all_detections(self) -> Subject:
        """The same part, with a score threshold of 0 in its post-processors.

        With random weights, scores are often too low for any detection.
        """
        values = dict(self.values)
        for argument in arguments(self.factory).values():
            if argument.slot is not None and argument.slot.family == "postprocess":
                node = values[argument.name]
                if node is not None and "score_threshold" in node:
                    values[argument.name] = {**node, "score_threshold": 0.0}
        return replace(self, values=values)


def subject(family: str, name: str, values: Mapping[str, Any], data: Path | None) -> Subject:
    """Prepare a part with these values and its defaults for all other arguments.

    Raises:
        UserError: There is no such part, or its constructor cannot be read.
        ConfigError: A value is invalid, or one without a default is missing.
    """
    file = find_part(family, name).file
    node = part_node(family, {"name": name, **values})
    part = node.pop("name")
    factory = registry.get(family, part)
    for argument in arguments(factory).values():
        if argument.wired or argument.slot is not None or argument.required:
            continue
        expected = check_value(argument.annotation, default_value(argument))
        if expected is not None:
            raise UserError(
                f"{family} '{name}' ({file}): the default of '{argument.name}' is "
                f"{argument.default!r}, expected {expected}: change the default or the annotation."
            )
    page_of = None if part == name else part
    return Subject(family, name, file, check(factory, node), data, page_of)


@dataclass(frozen=True)
class Case:
    """A check of one promise on one part: calling it raises BrokenContractError or nothing.

    Attributes:
        subject: The part.
        check: The check; its name states the promise.
    """

    subject: Subject
    check: Callable[[Subject], None]

    @property
    def title(self) -> str:
        """The promise."""
        return self.check.__name__.replace("_", " ")

    def __str__(self) -> str:
        return self.title

    def __call__(self) -> None:
        """Run the check; PyTorch's random state is restored afterwards.

        Raises:
            BrokenContractError: The part breaks the promise, or raises an error.
            LeftOutError: The promise cannot be checked on this part.
        """
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a library's warning breaks no promise
                torch.manual_seed(0)
                self.check(self.subject)
        except BrokenContractError as error:
            raise BrokenContractError(error.message, self._heading()) from error
        except LeftOutError:
            raise
        except (Exception, SystemExit) as error:  # a part may fail in any way
            message = self._describe(error)
            raise BrokenContractError(message, self._heading()) from error

    def _heading(self) -> str:
        about = f"{self.subject.family} '{self.subject.name}' ({self.subject.file})"
        return f"{about} breaks the promise '{self.title}': "

    def _describe(self, error: BaseException) -> str:
        """Describe an error that the part raised, with the last line of the part's own code."""
        if isinstance(error, ConfigError):  # assembly has already explained the part's error
            return f"it cannot be built: {error}"
        text = str(error).strip().partition("\n")[0] or "without a message"
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self._owns(frame)]
        if not frames:
            return f"{type(error).__name__}: {text}"
        last = frames[-1]
        location = f"{last.filename}:{last.lineno}"
        return f"it raised {type(error).__name__}: {text} (at {location}: {last.line})"

    def _owns(self, frame: traceback.FrameSummary) -> bool:
        """Whether a frame belongs to the part's file or package."""
        file, part_file = Path(frame.filename), self.subject.file
        folder = part_file.parent if (part_file.parent / "__init__.py").is_file() else None
        return file == part_file or (folder is not None and file.is_relative_to(folder))
