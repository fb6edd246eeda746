"""Only differences beyond the luck of the best count."""

import numpy as np

from detkit.evaluation.best_of_many import worse_than_best


def sampled(means, seed, spread=0.02, shared=0.05, samples=500):
    """Estimates, and samples around them; what all have in common cancels out."""
    random = np.random.default_rng(seed)
    estimates = np.array(means) + random.normal(0, spread, len(means))
    common = random.normal(0, shared, samples)
    return estimates, estimates[:, None] + common + random.normal(0, spread, (len(means), samples))


def test_a_clear_difference_counts():
    estimates, samples = sampled([0.5, 0.2, 0.49], 0)
    outcome = worse_than_best(estimates, samples)
    assert outcome.best in (0, 2)
    assert outcome.is_worse[1]
    assert not outcome.is_worse[outcome.best]


# pain 141
def test_of_equal_detectors_few_seem_worse():
    outcomes = [worse_than_best(*sampled([0.5] * 12, seed)) for seed in range(40)]
    assert np.mean([outcome.is_worse.any() for outcome in outcomes]) <= 0.1


def test_equal_samples_do_not_differ():
    samples = np.random.default_rng(0).normal(0.5, 0.1, (1, 50)).repeat(3, axis=0)
    assert not worse_than_best(np.full(3, 0.5), samples).is_worse.any()


def test_samples_without_a_number_are_left_out():
    estimates, samples = sampled([0.5, 0.2], 0)
    samples[0, :100] = np.nan
    assert worse_than_best(estimates, samples).is_worse[1]
    assert not worse_than_best(estimates, np.full((2, 5), np.nan)).is_worse.any()
