"""Configurations for programs: compose one from overrides, read its values, see their history."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import yaml

from detkit.api.arguments import override_list
from detkit.api.training_config import training_config
from detkit.config.folders import USER_FOLDER_VARIABLE
from detkit.config.hydra_session import LOCK
from detkit.config.provenance import History, Step
from detkit.errors import UserError, did_you_mean


class Composing(NamedTuple):
    """The inputs of a composition, to repeat it for the configuration's history.

    Attributes:
        root: The root page.
        overrides: The overrides.
        stored: The configuration of the run that it starts from, or None.
        begins_again: Whether it restarts a run that ended before its first checkpoint.
    """

    root: str
    overrides: list[str]
    stored: dict[str, Any] | None
    begins_again: bool


class Config(Mapping[str, Any]):
    """A complete, checked configuration that cannot change.

    Values are plain: numbers, strings, lists, dictionaries, None. Reading one gives a copy.

    Args:
        values: The complete configuration.
        overrides: The overrides that it was composed from.
        notes: Lines about what detkit chose by itself.
        composing: How it was composed; None for a configuration from a file.

    Example:
        >>> config = detkit.compose(["model=fcos", "optimizer.learning_rate=0.02"])
        >>> config["model.neck.name"], config["optimizer"]["learning_rate"]
        ('fpn', 0.02)
    """

    __slots__ = ("_composing", "_notes", "_overrides", "_values")  # so config.seed = 1 is an error

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        overrides: Sequence[str] = (),
        notes: Sequence[str] = (),
        composing: Composing | None = None,
    ) -> None:
        self._values = copy.deepcopy(dict(values))
        self._overrides, self._notes = tuple(overrides), tuple(notes)
        self._composing = composing

    def __getitem__(self, key: str) -> Any:
        """The value of a key, or of a dotted path such as `model.neck.out_channels`.

        Raises:
            KeyError: There is no such key; the message names the nearest.
        """
        if not isinstance(key, str):
            raise KeyError(f"{key!r} is no key: keys are strings.")
        node: Any = self._values
        for number, name in enumerate(key.split(".")):
            if not isinstance(node, Mapping) or name not in node:
                keys = node if isinstance(node, Mapping) else ()
                above = ".".join(key.split(".")[:number]) or "the configuration"
                raise KeyError(f"{above} has no key '{name}'.{did_you_mean(name, keys)}")
            node = node[name]
        return copy.deepcopy(node)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == (other.to_dict() if isinstance(other, Config) else other)

    __hash__ = None  # type: ignore[assignment]  # like other mappings

    def __repr__(self) -> str:
        return f"Config({', '.join(self._overrides)})"

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides that it was composed from; none for the configuration of a run."""
        return self._overrides

    @property
    def notes(self) -> tuple[str, ...]:
        """The choices that detkit made automatically, as `detkit train` prints them."""
        return self._notes

    @property
    def begins_again(self) -> bool:
        """Whether a training restarts a run that ended before its first checkpoint."""
        return self._composing is not None and self._composing.begins_again

    def to_dict(self) -> dict[str, Any]:
        """A plain copy."""
        return copy.deepcopy(self._values)

    def to_yaml(self) -> str:
        """The whole configuration as YAML, as a run folder stores it."""
        return yaml.safe_dump(self._values, sort_keys=False, allow_unicode=True)

    def history(self, path: str) -> list[Step]:
        """List every value that a path had and its origin, lowest precedence first.

        Composes again, which takes about a second.

        Args:
            path: The path of a single value.

        Raises:
            UserError: There is no such value, or the configuration comes from a file.

        Example:
            >>> config = detkit.compose(["seed=3"])
            >>> [(step.value, step.source) for step in config.history("seed")][-1]
            (3, 'command line: seed=3')
        """
        if self._composing is None:
            raise UserError("this configuration was read from a file, which has no history.")
        root, overrides, stored, _ = self._composing
        with _unchanged_environment():
            explanations = History(root, self._values, overrides, stored).explain(path)
        if [explanation.path for explanation in explanations] != [path]:
            raise UserError(f"{path}: is a block; name one of its values.")
        return explanations[0].steps


def compose(
    overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None
) -> Config:
    """Compose and check the configuration that `detkit train` uses with the same overrides.

    Args:
        overrides: Overrides such as `["model=fcos", "data.path=photos", "trainer.max_epochs=3"]`;
            `weights=RUN`, `settings=RUN` and `ckpt=RUN` work too.
        config_dir: A folder of pages that take precedence over detkit's.

    Raises:
        ConfigError: With all problems at once, in the words of the command line.
        UserError: A run or its weights cannot be used.

    Example:
        >>> config = detkit.compose(["model=fcos", "model/neck=pan"])
        >>> config["model.neck.name"]
        'pan'
    """
    words = override_list(overrides)
    if config_dir is not None:
        words.append(f"--config-dir={os.fspath(config_dir)}")
    with _unchanged_environment():
        training = training_config(words)
    typed = training.composed.overrides
    return Config(
        training.config,
        overrides=[word for word in typed if not word.startswith("--config-dir")],
        notes=training.notes,
        composing=Composing(training.root, typed, training.stored, training.begins_again),
    )


@contextmanager
def _unchanged_environment() -> Iterator[None]:
    """Undo what `--config-dir` sets for the processes that a command starts."""
    with LOCK:
        before = os.environ.get(USER_FOLDER_VARIABLE)
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(USER_FOLDER_VARIABLE, None)
            else:
                os.environ[USER_FOLDER_VARIABLE] = before
