import copy

import pytest

from detkit.errors import ConfigError
from detkit.runs.resume_changes import check_resume

RUN = {
    "model": {"name": "one_stage", "neck": {"name": "fpn", "out_channels": 256}},
    "data": {"path": "photos", "batch_size": 8, "workers": 2, "cache": None},
    "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
    "scheduler": {"name": "cosine", "warmup_steps": 500},
    "trainer": {
        "max_epochs": 12,
        "devices": 1,
        "accumulate_grad_batches": 1,
        "gradient_clip_norm": None,
    },
    "callbacks": {"ema": {"name": "ema", "decay": 0.9}, "pictures": {"name": "pictures"}},
    "logger": None,
    "seed": 0,
    "ckpt": None,
}
NO_LONGER = "from here on, the run differs from one without the change"


def changed(path, value):
    config = copy.deepcopy(RUN)
    *parents, key = path.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[key] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("data.workers", 8, "data.workers: 2 -> 8"),
        ("data.cache", "ram", "data.cache: null -> ram"),
        ("data.path", "moved", "data.path: photos -> moved"),
        ("logger", {"name": "wandb", "mode": "offline"}, "logger: null -> wandb"),
        ("callbacks.pictures", None, "callbacks.pictures: pictures -> null"),
        (
            "trainer.max_epochs",
            24,
            "trainer.max_epochs: 12 -> 24 (the learning rate schedule covers",
        ),
        ("trainer.devices", 4, "trainer.devices: 1 -> 4 (results are no longer bit-identical"),
        ("optimizer.learning_rate", 0.1, f"optimizer.learning_rate: 0.01 -> 0.1 ({NO_LONGER})"),
        ("scheduler.warmup_steps", 900, f"scheduler.warmup_steps: 500 -> 900 ({NO_LONGER})"),
        (
            "trainer.gradient_clip_norm",
            10,
            f"trainer.gradient_clip_norm: null -> 10 ({NO_LONGER})",
        ),
    ],
)
def test_permitted_changes_are_printed(path, value, line):
    (said,) = check_resume(RUN, changed(path, value))
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("seed", 1, "seed: 0 -> 1"),
        ("optimizer.momentum", 0.5, "optimizer.momentum: 0.9 -> 0.5"),
        ("optimizer", {"name": "adamw"}, "optimizer: sgd -> adamw"),
        ("model.neck", {"name": "pan"}, "model.neck: fpn -> pan"),
        ("trainer.accumulate_grad_batches", 2, "trainer.accumulate_grad_batches: 1 -> 2"),
        ("callbacks.ema.decay", 0.5, "callbacks.ema.decay: 0.9 -> 0.5"),
        ("callbacks.ema", None, "callbacks.ema: ema -> null"),
    ],
)
def test_settings_that_the_saved_state_depends_on_cannot_change(path, value, problem):
    # pain 18
    with pytest.raises(ConfigError) as refused:
        check_resume(RUN, changed(path, value))
    (said,) = refused.value.problems  # what can change is a hint, not a second problem
    assert said.startswith(f"{problem}: cannot change when a run is resumed")
    assert "weights=RUN starts a new run" in said
    allowed = said.partition("What can change: ")[2]
    assert "trainer.max_epochs" in allowed
    assert "data.workers" in allowed


def test_each_value_that_may_not_change_is_named():
    with pytest.raises(ConfigError) as refused:
        check_resume(RUN, {**changed("seed", 1), "optimizer": {"name": "adamw"}})
    first, second = refused.value.problems
    assert first.startswith("optimizer: sgd -> adamw: cannot change")
    assert second.startswith("seed: 0 -> 1: cannot change")
    assert "What can change" not in first
    assert "What can change: callbacks" in second


def test_its_own_checkpoint_is_no_change():
    assert check_resume(RUN, changed("ckpt", "runs/a/checkpoints/last.ckpt")) == []
