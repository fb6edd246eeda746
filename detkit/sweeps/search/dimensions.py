"""Keys of a search space and their values, as Hydra's grammar writes them. Imports no Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from detkit.errors import ConfigError, did_you_mean

Value = str | int | float
DIGITS = 4  # of a number drawn from an interval; further digits would not change a training
LOG = "log"


class Dimension(Protocol):
    """A key and its possible values."""

    @property
    def key(self) -> str:
        """The key as an override begins: `optimizer.learning_rate`, `model/neck`."""

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All values, or None if they cannot be listed."""

    @property
    def examples(self) -> tuple[Value, ...]:
        """A few values that are composed and checked before anything starts."""

    def text(self, value: Value) -> str:
        """The text after `=` for a value that Optuna has drawn."""


@dataclass(frozen=True)
class Choice:
    """Values without an order, in the syntax of overrides."""

    key: str
    values: tuple[str, ...]

    @property
    def examples(self) -> tuple[Value, ...]:
        """All values."""
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
        """The nearest listed number, since sums of floating-point steps are not exact."""
        return str(min(self.values, key=lambda listed: abs(listed - float(value))))


@dataclass(frozen=True)
class Interval:
    """Numbers between two bounds; whole numbers if both bounds are whole."""

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
        """The number rounded to `DIGITS` digits, inside the bounds."""
        if isinstance(value, int):
            return str(value)
        return repr(min(max(float(f"{float(value):.{DIGITS}g}"), self.low), self.high))


def read_dimension(override: Override) -> Dimension:
    """The dimension of a swept override.

    Raises:
        ConfigError: The values cannot be drawn.
    """
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
    numbers = sorted(value.range())
    log = LOG in value.tags
    if not numbers:
        raise ConfigError(
            [f"{key}: range({value.start},{value.stop},{value.step}) holds no number."]
        )
    if log and (value.step != 1 or numbers[0] <= 0 or not isinstance(numbers[0], int)):
        raise ConfigError([f"{key}: a logarithmic range has whole numbers above 0 and steps of 1."])
    if isinstance(numbers[0], float):
        numbers = [float(f"{number:.12g}") for number in numbers]  # 0.3, not 0.30000000000000004
    return Steps(key, tuple(numbers), log)
