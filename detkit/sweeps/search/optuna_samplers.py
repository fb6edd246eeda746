"""Optuna's samplers, pruners and distributions for a search space; needs Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from detkit.sweeps.search.dimensions import Dimension, Interval, Steps
from detkit.sweeps.search.search_space import Space

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "asha", "median"]
_SEEDS = 2**32
_BETWEEN_SEEDS = 1_000_003  # a prime, so that neighbouring seeds share no trial's seed soon


class SeededByTrial(BaseSampler):
    """Draws each trial from its own seed, derived from the study's seed and the trial's number.

    So a killed study that is resumed draws what it would have drawn, and two processes with the
    same seed draw different trials.

    Args:
        make: Makes a sampler from a seed.
        seed: The seed of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin a trial with its seed."""
        self._sampler = self._make((self._seed * _BETWEEN_SEEDS + trial.number) % _SEEDS)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the trial's sampler does."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the trial's sampler does."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """As the trial's sampler does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """As the current sampler does, for any trial that ends."""
        self._sampler.after_trial(study, trial, state, values)


def make_sampler(name: Sampler, seed: int) -> BaseSampler:
    """The sampler with a name; for a grid, the study itself chooses the cells."""
    if name == "tpe":
        return SeededByTrial(_tpe, seed)
    return SeededByTrial(lambda trial_seed: RandomSampler(seed=trial_seed), seed)


def _tpe(seed: int) -> BaseSampler:
    # Draw all keys jointly, and treat running trials as bad ones, so that processes that draw at
    # the same time do not all draw similar trials.
    with warnings.catch_warnings():  # both are the defaults of Optuna 5, experimental before
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def make_pruner(name: Pruner, min_epochs: int) -> BasePruner:
    """The pruner with a name, which considers epochs from `min_epochs` on.

    ASHA (Li et al., 2020, arXiv 1810.05934) keeps the best quarter at `min_epochs` epochs, the best
    quarter of those at 4 times as many, and so on. The median pruner stops a trial whose best
    value is below the median of the others at the same epoch, once 5 trials are complete.
    """
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=min_epochs)
    if name == "median":
        return MedianPruner(n_warmup_steps=min_epochs)
    return NopPruner()


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna's distributions, by key."""
    return {dimension.key: _distribution(dimension) for dimension in space.dimensions}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Interval):
        low, high = dimension.low, dimension.high
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=dimension.log)
        return FloatDistribution(low, high, log=dimension.log)
    if isinstance(dimension, Steps):
        low, high = dimension.values[0], dimension.values[-1]
        step = dimension.values[1] - low if len(dimension.values) > 1 else 1
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=dimension.log, step=int(step))
        return FloatDistribution(low, high, step=float(f"{step:.12g}"))
    return CategoricalDistribution(dimension.examples)
