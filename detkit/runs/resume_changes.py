"""The settings of a run that may change when it is resumed."""

from __future__ import annotations

from typing import Any

from detkit.config.difference import Difference, differences
from detkit.errors import ConfigError

# Settings that do not affect the result of a run.
_HARMLESS = (
    "callbacks",
    "ckpt",
    "data.cache",
    "data.cache_folder",
    "data.cache_limit",
    "data.index_cache",
    "data.path",
    "data.validation_batch_size",
    "data.workers",
    "logger",
    "plugins",
    "run_name",
    "trainer.log_every",
    "trainer.validate_every",
)
# Settings that change the result slightly, each with a note to print.
_OTHER_BITS = "results are no longer bit-identical to an uninterrupted run"
_NO_LONGER = "from here on, the run differs from one without the change"
_NEW_LENGTH = "the learning rate schedule covers the new length from here on"
_NOTES = {
    "data.batch_size": "the number of images per step over all devices is unchanged",
    "model.proposer.file": "the run differs from one without the change if the regions differ",
    "optimizer.learning_rate": _NO_LONGER,
    "scheduler.warmup_steps": _NO_LONGER,
    "trainer.accelerator": _OTHER_BITS,
    "trainer.channels_last": _OTHER_BITS,
    "trainer.compile": _OTHER_BITS,
    "trainer.deterministic": _OTHER_BITS,
    "trainer.devices": _OTHER_BITS,
    "trainer.gradient_clip_norm": _NO_LONGER,
    "trainer.max_epochs": _NEW_LENGTH,
    "trainer.max_minutes": _NEW_LENGTH,
    "trainer.max_steps": _NEW_LENGTH,
    "trainer.num_nodes": _OTHER_BITS,
    "trainer.precision": _OTHER_BITS,
    "trainer.strategy": _OTHER_BITS,
}
_STATE = ("ema",)  # callbacks that belong to the state of the training
_REASON = "since its state depends on it; weights=RUN starts a new run from its weights"


def check_resume(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The changes of a resumed run, one line each.

    Args:
        before: The configuration that the run was started with.
        after: The configuration that it is resumed with.

    Raises:
        ConfigError: Something changes that the state of the training depends on.
    """
    changes = [change for change in differences(before, after) if change.path != "ckpt"]
    refused = [change for change in changes if not _is_allowed(change, before, after)]
    if refused:
        allowed = ", ".join(sorted({*_NOTES, *_HARMLESS} - {"ckpt"}))
        problems = [f"{c}: cannot change when a run is resumed, {_REASON}." for c in refused]
        problems[-1] += f" What can change: {allowed} (but not the averaging of weights)."
        raise ConfigError(problems)
    return [_line(change) for change in changes]


def _is_allowed(change: Difference, before: dict[str, Any], after: dict[str, Any]) -> bool:
    top, _, inner = change.path.partition(".")
    if top == "callbacks":
        label = inner.split(".")[0]
        parts = (config["callbacks"].get(label) or {} for config in (before, after))
        return not any(part.get("name") in _STATE for part in parts)
    return any(_under(change.path, path) for path in (*_HARMLESS, *_NOTES))


def _under(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}.")


def _line(change: Difference) -> str:
    note = next((text for path, text in _NOTES.items() if _under(change.path, path)), None)
    return f"{change}" + (f" ({note})" if note else "")
