"""A diverging loss is reported once; noise, warm-up and multi-scale images are not."""

import logging
import math
import random

import pytest
import torch
from training_fakes import Batches, TinyDetector, cpu_trainer, tiny_module

from detkit.optimizers.sgd import SGD
from detkit.training.callbacks.divergence import DivergenceWarning, LossWatch
from detkit.training.fit import fit

WINDOW, PATIENCE = 20, 5


def first_warning(losses):
    """The step at which a series of losses is reported as diverging, or None."""
    watch = LossWatch(window=WINDOW, patience=PATIENCE)
    for start in range(0, len(losses) - WINDOW + 1, WINDOW):
        if watch.add(losses[start : start + WINDOW]) is not None:
            return start + WINDOW
    return None


def noisy(levels, spread, seed=0):
    draw = random.Random(seed)
    return [level * math.exp(draw.gauss(0, spread)) for level in levels]


def falling(steps, start, end):
    return [end + (start - end) * math.exp(-5 * step / steps) for step in range(steps)]


HARMLESS = {
    "fast fall, then noise around 0.01": noisy(falling(2000, 2.0, 0.01), 0.8),
    "noise only": noisy([1.2] * 2000, 0.5),
    "batches of one image": noisy(falling(2000, 3.0, 0.6), 1.0),
    "a warm-up that starts with a rise": noisy(
        [1.5 + 1.2 * math.sin(math.pi * step / 200) for step in range(200)]
        + falling(1000, 1.5, 0.4),
        0.2,
    ),
    "multi-scale": [
        level * (0.6 if step % 2 else 1.6) for step, level in enumerate(falling(2000, 2.0, 0.5))
    ],
    "cycles of the learning rate": noisy(
        [0.5 + 0.15 * math.sin(step / 100) for step in range(2000)], 0.2
    ),
    "overfitting to 0.001": noisy(falling(2000, 2.0, 0.001), 1.2),
    "single spikes": [
        1000.0 if step % 37 == 0 else level for step, level in enumerate(falling(2000, 2.0, 0.3))
    ],
    "mosaic switched off": noisy(falling(1000, 2.0, 0.9) + falling(500, 0.7, 0.5), 0.3),
    "a jump after the first steps": noisy([1.0] * 5 + [1.9] * 100 + falling(1000, 1.9, 0.7), 0.2),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_curves_raise_no_alarm(name):
    assert first_warning(HARMLESS[name]) is None


@pytest.mark.parametrize("seed", range(20))
def test_no_seed_of_strong_noise_raises_an_alarm(seed):
    assert first_warning(noisy(falling(3000, 2.5, 0.5), 0.9, seed)) is None


# FCOS on shapes with SGD at a learning rate of 10: 20 losses, then the medians of windows of 20.
CAUGHT_LATE = [
    *[2.82, 2.81, 2.65, 29.8, 821.82, 4.07, 10.17, 4.97, 5.22, 6.61],
    *[8.61, 7.6, 8.65, 30.09, 10.35, 1100.38, 11.06, 11.71, 13.34, 11.74],
    *(level for level in (10.52, 21.37, 34.34, 23.14, 12.56) for _ in range(WINDOW)),
]


@pytest.mark.parametrize(
    ("losses", "latest"),
    [
        (noisy([0.5 * 1.01**step for step in range(1000)], 0.3), 400),
        (noisy(falling(1000, 2.0, 0.5) + [2.2] * 300, 0.3), 1000 + 120),
        ([2.0, 1.9, 50.0, 4000.0, *[30.0] * 200], 20),
        (noisy(falling(400, 2.0, 0.4), 0.3) + [1e9] * 40, 440),
        (CAUGHT_LATE, 100),
    ],
    ids=[
        "slow explosion",
        "collapse to the start",
        "explosion at once",
        "explosion late",
        "a real one",
    ],
)
def test_runaway_losses_are_found(losses, latest):
    found = first_warning(losses)
    assert found is not None
    assert found <= latest


class Slope(TinyDetector):
    """A parabola in the bias alone; a step of more than 1 increases the loss."""

    def loss(self, batch):
        return {"loss/box": (self.head.bias - 2).square().sum()}


def train(folder, rate, steps=60, **settings):
    callback = DivergenceWarning(window=5, patience=3)
    module = tiny_module(
        detector=Slope(),
        optimizer=SGD(learning_rate=rate, momentum=0.0),
        schedule=lambda step, total: 1.0,
    )
    trainer = cpu_trainer(folder, callbacks=[callback], max_epochs=1, **settings)
    fit(module, trainer, Batches(*range(steps)))
    return callback


def test_message_names_losses_step_and_learning_rate_once(tmp_path, caplog):
    train(tmp_path, rate=1.05)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    for part in ("THE LOSS DIVERGES", "step", "learning rate there is 1.05", "learning_rate ("):
        assert part in text
    assert "\n" not in text


def test_good_learning_rate_is_silent(tmp_path, caplog):
    train(tmp_path, rate=0.05)
    assert caplog.records == []


def test_levels_go_through_a_checkpoint():
    callback = DivergenceWarning(window=5, patience=3)
    callback.watch.add([2.0, 2.0, 2.0, 0.5, 0.5])
    callback._losses = [torch.tensor(1.0)]
    resumed = DivergenceWarning(window=5, patience=3)
    resumed.load_state_dict(callback.state_dict())
    assert resumed.state_dict() == callback.state_dict()
    assert resumed.state_dict()["losses"] == [1.0]
