"""The search space of a sweep: keys whose values are drawn, as Hydra's grammar writes them.

`model/neck=fpn,pan`, `seed=range(1,5)`, `optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))`;
the same text stands after `=` on the command line and after `:` in a page. Imports no Optuna.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from detkit.config.part_overrides import subject
from detkit.errors import ConfigError, did_you_mean

Value = str | int | float
DIGITS = (
    4  # of a number drawn from an interval: more of them change no training that anyone notices
)
LOG = "log"


class Dimension(Protocol):
    """One key and the values that it may have.

    `values` are all of them, or None where they cannot be listed; `examples` are those by which the
    key is checked before anything starts.
    """

    @property
    def key(self) -> str:
        """The key as an override begins: `optimizer.learning_rate`, `model/neck`."""

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All values, or None."""

    @property
    def examples(self) -> tuple[Value, ...]:
        """Values that are composed and checked before anything starts."""

    def text(self, value: Value) -> str:
        """What stands after `=` for a value that Optuna has drawn."""


@dataclass(frozen=True)
class Choice:
    """Values without an order, as overrides write them."""

    key: str
    values: tuple[str, ...]

    @property
    def examples(self) -> tuple[Value, ...]:
        """Every one."""
        return self.values

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.values)}"

    def text(self, value: Value) -> str:
        """The value itself."""
        return str(value)


@dataclass(frozen=True)
class Steps:
    """Numbers from a lowest to a highest in equal steps, lowest first."""

    key: str
    values: tuple[int, ...] | tuple[float, ...]
    log: bool

    @property
    def examples(self) -> tuple[Value, ...]:
        """Both ends."""
        return tuple(dict.fromkeys((self.values[0], self.values[-1])))

    def __str__(self) -> str:
        text = ",".join(map(str, self.values))
        return f"{self.key}=tag({LOG},{text})" if self.log else f"{self.key}=sort({text})"

    def text(self, value: Value) -> str:
        """The number of the list that is meant: sums of steps are not exact."""
        return str(min(self.values, key=lambda listed: abs(listed - float(value))))


@dataclass(frozen=True)
class Interval:
    """Numbers between two bounds, whole ones where both bounds are."""

    key: str
    low: float
    high: float
    log: bool
    values: None = None

    @property
    def examples(self) -> tuple[Value, ...]:
        """Both bounds."""
        return (self.low, self.high)

    def __str__(self) -> str:
        text = f"interval({self.low},{self.high})"
        text = f"int({text})" if isinstance(self.low, int) else text
        return f"{self.key}=tag({LOG},{text})" if self.log else f"{self.key}={text}"

    def text(self, value: Value) -> str:
        """The number with as many digits as can matter, inside the bounds."""
        if isinstance(value, int):
            return str(value)
        return repr(min(max(float(f"{float(value):.{DIGITS}g}"), self.low), self.high))


@dataclass(frozen=True)
class Space:
    """All keys that are drawn, and the words that every trial has beside them."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        """How many different configurations there are; infinite with an interval of floats."""
        return math.prod(
            math.inf if dimension.values is None else len(dimension.values)
            for dimension in self.dimensions
        )

    def cells(self) -> Iterator[dict[str, Value]]:
        """Every combination of values, the last key varying first.

        Raises:
            ConfigError: The values of a key cannot be listed.
        """
        endless = [dimension.key for dimension in self.dimensions if dimension.values is None]
        if endless:
            raise ConfigError(
                [
                    f"{key}: an interval has no grid: list values (0.1,0.2), write a range "
                    "(range(1,10,2)), or choose hydra.sweeper.sampler=tpe or random."
                    for key in endless
                ]
            )
        columns = [[(d.key, value) for value in d.values or ()] for d in self.dimensions]
        return map(dict, itertools.product(*columns))

    def examples(self) -> Iterator[dict[str, Value]]:
        """Few cells in which every example of every key occurs: one key at a time leaves the first.

        A drawn configuration joins values that may not have met before the start.
        """
        first = {dimension.key: dimension.examples[0] for dimension in self.dimensions}
        yield first
        for dimension in self.dimensions:
            for value in dimension.examples[1:]:
                yield {**first, dimension.key: value}

    def words(self, params: Mapping[str, Value]) -> list[str]:
        """The drawn words of a trial."""
        return [f"{d.key}={d.text(params[d.key])}" for d in self.dimensions]

    def lines(self) -> list[str]:
        """What tells one search from another: the fixed words, and each key with its values."""
        return [*sorted(self.fixed), *sorted(map(str, self.dimensions))]


def read_space(overrides: Sequence[Override]) -> Space:
    """The search space in parsed words; of several for one key the last counts.

    Raises:
        ConfigError: Nothing is to be drawn, or values cannot be drawn as they are written.
    """
    dimensions: dict[str, Dimension] = {}
    fixed: dict[str, str] = {}
    problems: list[str] = []
    for override in overrides:
        name = subject(str(override.input_line))
        dimensions.pop(name, None)
        fixed.pop(name, None)
        if not override.is_sweep_override():
            fixed[name] = str(override.input_line)
            continue
        try:
            dimensions[name] = _dimension(override)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    if not dimensions:
        raise ConfigError(
            [
                "there is nothing to search: give at least one key several values, such as "
                "model/neck=fpn,pan or 'optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))', "
                "as words or under hydra.sweeper.params in a page."
            ]
        )
    return Space(tuple(dimensions.values()), tuple(fixed.values()))


def _dimension(override: Override) -> Dimension:
    value, key = override.value(), override.key_or_group
    tags = set(value.tags) if isinstance(value, ChoiceSweep | RangeSweep | IntervalSweep) else set()
    for tag in sorted(tags - {LOG}):
        raise ConfigError([f"{key}: there is no tag '{tag}'.{did_you_mean(tag, [LOG])}"])
    if isinstance(value, IntervalSweep):
        return _interval(key, value)
    if isinstance(value, RangeSweep):
        return _steps(key, value)
    if tags:
        raise ConfigError([f"{key}: the tag 'log' is for numbers in an interval or a range."])
    if isinstance(value, ChoiceSweep):
        value.shuffle = False  # the sampler chooses the order, from its seed
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not texts:
        raise ConfigError([f"{key}: '{override.input_line}' has no values to choose from."])
    return Choice(key, texts)


def _interval(key: str, value: IntervalSweep) -> Interval:
    low, high, log = value.start, value.end, LOG in value.tags
    if low is None or high is None or not low < high:
        raise ConfigError([f"{key}: interval({low}, {high}) needs a lower bound below the upper."])
    if log and low <= 0:
        raise ConfigError([f"{key}: a logarithmic interval starts above 0, got {low}."])
    return Interval(key, low, high, log)


def _steps(key: str, value: RangeSweep) -> Steps:
    value.shuffle = False
    listed = sorted(value.range())
    log = LOG in value.tags
    if not listed:
        raise ConfigError(
            [f"{key}: range({value.start},{value.stop},{value.step}) holds no number."]
        )
    if log and (value.step != 1 or listed[0] <= 0 or not isinstance(listed[0], int)):
        raise ConfigError([f"{key}: a logarithmic range has whole numbers above 0 and steps of 1."])
    if isinstance(listed[0], float):
        listed = [float(f"{number:.12g}") for number in listed]  # decimals as they were meant
    return Steps(key, tuple(listed), log)
