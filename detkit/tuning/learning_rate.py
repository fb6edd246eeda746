"""Run the learning-rate range test of a configuration; the trained weights are discarded."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

from detkit import assembly
from detkit.assembly import Classes
from detkit.errors import UserError
from detkit.processes.frozen_training import trainer_settings, training_module, unfreezing
from detkit.training.devices import device_count
from detkit.training.fit import closing_loggers, fit
from detkit.training.trainer import make_trainer, seed_everything
from detkit.tuning.range_test import LossCurve, RangeTest, RisingRate

_log = logging.getLogger("detkit.tuning")
_FEWEST_STEPS = 20  # with fewer, the smoothed loss has no slope worth reading


def range_test(
    config: Mapping[str, Any], *, lowest: float, highest: float, steps: int
) -> RangeTest:
    """Train from the initial weights while the learning rate rises.

    Everything but the learning rate is as at the start of a training: seed, data, augmentation,
    model, optimizer, precision, clipping, accumulation, frozen parts. There is no schedule, no
    validation and none of the configured callbacks.

    Args:
        config: The checked configuration of a training on one device.
        lowest: `optimizer.learning_rate` of the first step.
        highest: That of the last step.
        steps: Number of optimizer steps.

    Raises:
        UserError: The settings do not fit, or a training could not start either.
    """
    configured = _configured_rate(config)
    _refuse(config, lowest, highest, steps)
    seed_everything(config["seed"])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids, data.class_counts)
    _log.info("data: %s", data.describe())
    rising = RisingRate(lowest=lowest, highest=highest, steps=steps, configured=configured)
    curve = LossCurve()
    ending = {"max_epochs": None, "max_steps": steps, "max_minutes": None}
    settings = {**trainer_settings(config), **ending, "limit_validation_batches": 0}
    with TemporaryDirectory(prefix="detkit-tune-") as folder:
        callbacks = [*unfreezing(config), curve]
        trainer = make_trainer(run_folder=folder, callbacks=callbacks, loggers=[], **settings)
        module = training_module(config, folder, classes, data.batch_size, {}, schedule=rising)
        with closing_loggers(trainer):
            fit(module, trainer, data.train_loader())
    if not curve.losses:
        raise UserError(
            "the loss of the first step is infinite or NaN, at the lowest learning rate "
            f"({lowest:g}): check the annotations with `detkit data check`, and trainer.precision."
        )
    rates = [rising.rate(step) for step in range(len(curve.losses))]
    return RangeTest(rates, curve.losses, curve.has_diverged)


def _configured_rate(config: Mapping[str, Any]) -> float:
    rate = config["optimizer"].get("learning_rate")
    if not rate:
        raise UserError(
            f"optimizer '{config['optimizer']['name']}' has no learning_rate to vary: "
            "choose another optimizer; `detkit list optimizers` shows them."
        )
    return float(rate)


def _refuse(config: Mapping[str, Any], lowest: float, highest: float, steps: int) -> None:
    if not 0 < lowest < highest < math.inf:
        raise UserError(
            f"lowest={lowest:g} and highest={highest:g}: expected rates with 0 < lowest < highest."
        )
    if steps < _FEWEST_STEPS:
        raise UserError(f"steps={steps}: the test needs {_FEWEST_STEPS} steps or more.")
    trainer = config["trainer"]
    devices = device_count(trainer["devices"], trainer["accelerator"]) * trainer["num_nodes"]
    if devices > 1:
        batches = devices * trainer["accumulate_grad_batches"]
        raise UserError(
            f"trainer.devices={trainer['devices']}, trainer.num_nodes={trainer['num_nodes']}: the "
            "test runs on one device. For as many images in a step, set trainer.devices=1 "
            f"trainer.num_nodes=1 trainer.strategy=auto trainer.accumulate_grad_batches={batches}."
        )
