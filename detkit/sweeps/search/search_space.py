"""The search space of a sweep: keys whose values are drawn, and overrides that all trials share.

`model/neck=fpn,pan`, `seed=range(1,5)`, `optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))`:
the text after `=` on the command line is also the value in a page. Imports no Optuna.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override

from detkit.config.part_overrides import subject
from detkit.errors import ConfigError
from detkit.sweeps.search.dimensions import Dimension, Value, read_dimension


@dataclass(frozen=True)
class Space:
    """The keys that are drawn, and the overrides that all trials share."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        """Number of different configurations; infinite with an interval of floats."""
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
        """A few cells in which every example of every key occurs.

        They vary one key at a time, so a drawn configuration may still combine values that were
        not checked together.
        """
        first = {dimension.key: dimension.examples[0] for dimension in self.dimensions}
        yield first
        for dimension in self.dimensions:
            for value in dimension.examples[1:]:
                yield {**first, dimension.key: value}

    def words(self, params: Mapping[str, Value]) -> list[str]:
        """The drawn overrides of a trial."""
        return [f"{d.key}={d.text(params[d.key])}" for d in self.dimensions]

    def lines(self) -> list[str]:
        """The shared overrides, and each key with its values: they identify a search."""
        return [*sorted(self.fixed), *sorted(map(str, self.dimensions))]


def read_space(overrides: Sequence[Override]) -> Space:
    """The search space in parsed overrides; the last override of a key counts.

    Raises:
        ConfigError: There is nothing to draw, or values cannot be drawn.
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
            dimensions[name] = read_dimension(override)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    if not dimensions:
        raise ConfigError(
            [
                "there is nothing to search: give at least one key several values, such as "
                "model/neck=fpn,pan or 'optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))', "
                "on the command line or under hydra.sweeper.params in a page."
            ]
        )
    return Space(tuple(dimensions.values()), tuple(fixed.values()))
