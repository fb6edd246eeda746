"""Trainer settings that are valid alone but conflict with each other."""

import pytest

from detkit.config.checks.conflicts import refuse_combinations
from detkit.config.compose import compose
from detkit.errors import ConfigError

FSDP = {
    "strategy": "fsdp",
    "devices": 2,
    "num_nodes": 1,
    "precision": 32,
    "channels_last": None,
    "compile": False,
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"devices": 1}, r"trainer.strategy: fsdp .* got trainer.devices=1: set trainer.devices=2"),
        ({"precision": 16}, r"trainer.precision: 16 .*: set trainer.precision=bf16 or"),
        ({"channels_last": True}, r"trainer.channels_last: got true, .*channels_last=false or"),
        ({"compile": True}, r"trainer.compile: got true, .* trainer.compile=false or"),
    ],
)
def test_settings_that_sharded_weights_do_not_support_are_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        refuse_combinations({**FSDP, **changed})
    refuse_combinations({**FSDP, **changed, "strategy": "ddp"})


@pytest.mark.parametrize("changed", [{}, {"devices": "auto"}, {"devices": 1, "num_nodes": 2}])
def test_several_devices_divide_weights(changed):
    refuse_combinations({**FSDP, **changed})


def test_divided_weights_cannot_be_unfrozen():
    freeze = {"parts": ["backbone"], "until": 5}
    with pytest.raises(ConfigError, match=r"freeze.until: .* set trainer.strategy=ddp, or"):
        refuse_combinations(FSDP, freeze=freeze)
    refuse_combinations({**FSDP, "strategy": "auto"}, freeze=freeze)


def test_composing_reports_all_conflicts_together():
    words = ["model=fcos", "trainer.strategy=fsdp", "trainer.precision=16"]
    with pytest.raises(ConfigError) as caught:
        compose("train", words)
    assert len(caught.value.problems) == 2


MODEL = {"neck": {"necks": {"pan": {"name": "csp_pan", "norm": "cmbn"}}}}
ONE_BATCH = {"strategy": "auto", "accumulate_grad_batches": 1, "sync_batchnorm": False}


def test_cmbn_without_accumulation_is_refused():
    message = (
        r"model\.neck\.norm: cmbn joins the statistics .*makes it plain batch norm: "
        r"raise trainer\.accumulate_grad_batches, or set model\.neck\.norm=batch"
    )
    with pytest.raises(ConfigError, match=message):
        compose("train", ["model=yolov3", "model.neck.norm=cmbn"])
    refuse_combinations({**ONE_BATCH, "accumulate_grad_batches": 2}, MODEL)


def test_cmbn_with_statistics_shared_between_devices_is_refused():
    trainer = {**ONE_BATCH, "accumulate_grad_batches": 2, "sync_batchnorm": True}
    with pytest.raises(ConfigError, match=r"true shares .* model\.neck\.necks\.pan\.norm is cmbn"):
        refuse_combinations(trainer, MODEL)
