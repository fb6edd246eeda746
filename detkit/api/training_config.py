"""The configuration of a training: new, from the weights or settings of a run, or resumed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detkit.api.checkpoint_config import (
    checkpoint_of,
    chooses_model,
    compose_explained,
    compose_from,
    names_model,
)
from detkit.api.earlier_settings import KEY as SETTINGS
from detkit.api.earlier_settings import changed_settings, with_settings
from detkit.config.compose import Composed, compose, compose_with_origins
from detkit.config.derived.gradient_clipping import clipping_notes
from detkit.config.derived.image_size import anchor_note
from detkit.config.derived.pixel_statistics import pixel_notes
from detkit.config.derived.training_length import limit_note
from detkit.config.difference import differences
from detkit.config.lost_values import lost_values
from detkit.config.override_text import value_of
from detkit.config.pages import CHECKPOINT
from detkit.data.batch_size import AUTO
from detkit.errors import ConfigError, UserError
from detkit.remote.addresses import is_remote
from detkit.runs.checkpoint import Checkpoint
from detkit.runs.frozen_config import read_config, require_plugins
from detkit.runs.layout import CONFIG
from detkit.runs.resume import folder_to_resume, run_without_checkpoint
from detkit.runs.resume_changes import check_resume
from detkit.weights.published import fetch_weights
from detkit.weights.source import read_source
from detkit.weights.start import model_text, refuse_other_shapes


@dataclass(frozen=True)
class TrainingConfig:
    """A checked configuration to train.

    Attributes:
        composed: The configuration and where its values come from.
        notes: Lines about what detkit chose or changed by itself.
        stored: The configuration of the run whose model, data or other settings are chosen with
            `checkpoint`, or None.
        root: The root page, `train` or `resume`.
        begins_again: Whether the training restarts a run that ended before its first checkpoint.
    """

    composed: Composed
    notes: list[str] = field(default_factory=list)
    stored: dict[str, Any] | None = None
    root: str = "train"
    begins_again: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The complete configuration."""
        return self.composed.config


def training_config(overrides: Sequence[str]) -> TrainingConfig:
    """Compose what `detkit train` trains with these overrides.

    Raises:
        ConfigError: With all problems at once.
        UserError: A run, its weights or its settings cannot be used.
    """
    source = value_of(overrides, "ckpt")
    if source in (None, "null"):
        new = new_training(overrides)
        notes = [*new.notes, *(f"note: {line}" for line in _automatic_choices(new.composed))]
        return TrainingConfig(new.composed, notes, new.stored)
    if folder := run_without_checkpoint(str(source)):
        return _begin_again(folder, list(overrides))
    return _resume(checkpoint_of(overrides, "train", prefer="last"), list(overrides))


def new_training(overrides: Sequence[str], root: str = "train") -> TrainingConfig:
    """Compose a new training. Its model is that of `weights`, unless an override names one.

    `model=checkpoint` always chooses the model of the weights; further overrides tune it.

    Args:
        overrides: Hydra overrides, and `settings=RUN`.
        root: The page: `train`, or one that includes its keys.

    Raises:
        ConfigError: With all problems at once.
        UserError: The weights do not fit the model that their file describes.
    """
    run = value_of(overrides, SETTINGS)
    words = [word for word in overrides if not re.match(rf"\+*{SETTINGS}=", word)]
    stored: dict[str, Any] | None = None
    if run not in (None, "null"):
        words, stored = with_settings(str(run), words)
    source = value_of(words, "weights")
    if is_remote(str(source)):  # it may be a checkpoint, which sets the model
        fetch_weights(str(source))
    checkpoint = None if source in (None, "", "null") else _checkpoint_at(str(source))
    if checkpoint is not None and isinstance(checkpoint.config.get("model"), dict):
        training = _from_weights(str(source), checkpoint, root, words, stored)
    else:
        if stored is not None and not chooses_model(words):
            words = [*words, f"model={CHECKPOINT}"]
        training = TrainingConfig(compose_with_origins(root, words, stored), stored=stored)
    return replace(training, notes=[*_sweep_note(words), *training.notes])


def _sweep_note(overrides: Sequence[str]) -> list[str]:
    page = value_of(overrides, "sweep")
    if page in (None, "null"):
        return []
    search = f"to search, write detkit sweep sweep={page} ..."
    return [f"note: this is one run with what sweep={page} sets; {search}"]


def _from_weights(
    source: str,
    checkpoint: Checkpoint,
    root: str,
    words: list[str],
    settings: dict[str, Any] | None,
) -> TrainingConfig:
    """Compose a training that starts from the weights of a run, with the run's model."""
    notes = []
    model = checkpoint.config["model"]
    if not chooses_model(words):
        about = f"{source} ({model_text(model)})"
        notes.append(f"model: the one of {about}; no override names another")
        words = [*words, f"model={CHECKPOINT}"]
    stored = {**(settings or {}), "model": model}
    composed = compose_explained(checkpoint, root, words, stored)
    if not names_model([word for word in words if word != f"model={CHECKPOINT}"]):
        refuse_other_shapes(checkpoint, composed.config["model"])
    if settings is None:
        notes += changed_settings(source, checkpoint.config, composed.config)
    return TrainingConfig(composed, notes, stored)


def _checkpoint_at(source: str) -> Checkpoint | None:
    """A checkpoint that detkit wrote; None for other weights and for what cannot be read."""
    try:
        return read_source(source).checkpoint
    except UserError:
        return None  # reported later, when the configuration is known to be right


def _automatic_choices(composed: Composed) -> list[str]:
    """Values that detkit chose, and page settings that an override discards."""
    config = composed.config
    return [
        *lost_values(composed),
        *anchor_note(config, composed.overrides),
        *pixel_notes(config["model"]),
        *limit_note(config["trainer"]),
        *clipping_notes(config),
    ]


def _resume(checkpoint: Checkpoint, overrides: list[str]) -> TrainingConfig:
    """The configuration of a checkpoint's run, with changes that do not affect its saved state.

    Raises:
        UserError: The checkpoint is in no run folder, or more would change.
    """
    path = checkpoint.path.resolve()
    folder = folder_to_resume(path).path
    # With the overrides first: they may load plugins that the run uses.
    composed = compose_from(checkpoint, "resume", overrides, run_folder=str(folder))
    before = compose_from(checkpoint, "resume", [], run_folder=str(folder)).config
    if composed.config["data"]["batch_size"] == AUTO:
        raise ConfigError(
            [
                "data.batch_size: a resumed run keeps its number of images per step, so there is "
                f"nothing to decide; remove data.batch_size={AUTO}."
            ]
        )
    notes = [f"changed: {line}" for line in check_resume(before, composed.config)]
    composed.config["ckpt"] = str(path)
    stored = {**checkpoint.config, "run_folder": str(folder)}
    return TrainingConfig(composed, notes, stored, "resume")


def _begin_again(folder: Path, overrides: list[str]) -> TrainingConfig:
    """The configuration of a run that has no checkpoint yet; all of it may change.

    Raises:
        UserError: An override does not fit, or the run needs a plugin that is not loaded.
    """
    content = {**read_config(folder), "run_folder": str(folder)}
    try:
        # With the overrides first: they may load plugins that the run uses.
        composed = compose_with_origins("resume", overrides, content)
    except ConfigError:
        require_plugins(content, folder)
        raise
    composed.config["ckpt"] = None
    beginning = f"ended before its first checkpoint; it begins again from its {CONFIG}"
    changes = differences(compose("resume", [], content), composed.config)
    notes = [f"{folder.name}: {beginning}", *(f"changed: {change}" for change in changes)]
    return TrainingConfig(composed, notes, content, "resume", begins_again=True)
