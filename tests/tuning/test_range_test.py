"""The rates of a range test, when it ends, and what it suggests."""

import math

import numpy as np
import pytest
import torch
from training_fakes import batches, cpu_trainer, tiny_module

from detkit.optimizers.sgd import SGD
from detkit.training.fit import fit
from detkit.tuning.range_test import LossCurve, RangeTest, RisingRate

RISING = RisingRate(lowest=1e-4, highest=1.0, steps=5, configured=0.1)


def curve(*losses):
    result = LossCurve()
    for loss in losses:
        result.add(loss)
    return result


def falling(steps=100, middle=1e-3, noise=0.0):
    """A loss that falls from 3 to 1 around a rate, and rises again above 0.1."""
    rates = np.geomspace(1e-6, 1, steps)
    fall = 1 + 2 / (1 + np.exp(3 * (np.log10(rates) - math.log10(middle))))
    rise = 50 * np.clip(np.log10(rates) + 1, 0, None) ** 2
    losses = fall + rise + noise * np.random.default_rng(0).standard_normal(steps)
    return RangeTest(rates.tolist(), losses.tolist(), has_diverged=False)


def test_rates_grow_by_the_same_factor():
    assert [RISING.rate(step) for step in range(5)] == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1])
    assert RISING(3, 5) == pytest.approx(1.0)  # the configured rate


def test_groups_of_parameters_keep_the_ratio_of_their_rates(tmp_path):
    module = tiny_module(optimizer=SGD(learning_rate=0.1, backbone_factor=0.25), schedule=RISING)
    losses, rates = LossCurve(), []
    trainer = cpu_trainer(tmp_path, callbacks=[losses], max_epochs=None, max_steps=5)
    module.on_before_optimizer_step = lambda optimizer: rates.append(
        [group["lr"] for group in optimizer.param_groups]
    )
    fit(module, trainer, batches(2))
    assert len(losses.losses) == 5
    assert {round(high / low, 6) for low, high in map(sorted, map(set, rates))} == {4.0}
    assert [max(step) for step in rates] == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1])


def test_a_step_has_the_mean_loss_of_its_accumulated_batches(tmp_path):
    module = tiny_module()
    alone = [sum(module.detector.loss(batch).values()).item() for batch in batches(2)]
    losses = LossCurve()
    trainer = cpu_trainer(tmp_path, callbacks=[losses], max_epochs=1, accumulate_grad_batches=2)
    fit(tiny_module(), trainer, batches(2))
    assert losses.losses == pytest.approx([sum(alone) / 2], rel=1e-4)


@pytest.mark.parametrize(
    ("losses", "has_diverged"),
    [
        ([1.0, 2.0, 1.0, 2.0, 1.5], False),  # noise
        ([1.0] * 5 + [39.0], True),  # a running average of 4.1 or more
        ([1.0] * 5 + [12.0], False),
        ([2.0, math.inf], True),
        ([math.nan], True),
    ],
)
def test_the_test_ends_when_the_loss_diverges(losses, has_diverged):
    assert curve(*losses).has_diverged is has_diverged


def test_a_diverged_training_stops_at_that_step(tmp_path):
    rising = RisingRate(lowest=1e-3, highest=1e6, steps=50, configured=0.1)
    losses = LossCurve()
    trainer = cpu_trainer(tmp_path, callbacks=[losses], max_epochs=None, max_steps=50)
    fit(tiny_module(schedule=rising), trainer, batches(2))
    assert losses.has_diverged
    assert len(losses.losses) < 50


@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_suggestion_is_where_the_loss_falls_fastest(middle, noise):
    suggestion = falling(middle=middle, noise=noise).suggestion()
    assert abs(math.log10(suggestion / middle)) < 0.25


@pytest.mark.parametrize("losses", [[1.0] * 40, np.linspace(1, 3, 40).tolist(), [5.0]])
def test_a_loss_that_never_falls_gives_no_suggestion(losses):
    result = RangeTest(np.geomspace(1e-6, 1, len(losses)).tolist(), losses, has_diverged=True)
    assert result.suggestion() is None


def test_noise_alone_gives_no_suggestion():
    noise = torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = RangeTest(np.geomspace(1e-6, 1, 100).tolist(), (3 + noise).tolist(), False)
    assert result.suggestion() is None
