"""The settings of `detkit predict` for a run, which needs torch and Hydra."""

from __future__ import annotations

from detkit.api.tiled_backend import tiled
from detkit.api.tiled_evaluation import recommend_tiles
from detkit.cli.ensemble_members import members_of
from detkit.cli.exported_words import checkpoint_names
from detkit.cli.predict_settings import SEPARATE, FrameSettings, PredictSettings, named_writers
from detkit.config.overrides import quoted_value
from detkit.inference.tiling import tiling_of


def run_settings(words: list[str]) -> PredictSettings:
    """The settings for a run, a checkpoint or a bundle, or for several detectors with one of these.

    Raises:
        UserError: There is no checkpoint, or an override is wrong.
    """
    words = [_with_quoted_address(word) for word in words]
    names = checkpoint_names(words)
    members = members_of(names or [""], words, "predict")
    config = members.config
    classes, tiling = config["classes"], tiling_of(config["tiling"])
    recommend_tiles(members.first.checkpoint.config, tiling)
    return PredictSettings(
        source=config["source"],
        output=config["output"],
        frames=FrameSettings(**{key: config[key] for key in FrameSettings._fields}),
        writers=named_writers(config["format"]),
        classes=[classes] if isinstance(classes, str) else classes,
        resume=config["resume"],
        score_threshold=config["score_threshold"],
        mask_format=config["mask_format"],
        batch_size=config["batch_size"],
        open_detector=lambda: tiled(members.open(), tiling),
        checkpoint_files=members.files,
        others={key: value for key, value in config.items() if key not in SEPARATE},
    )


def _with_quoted_address(word: str) -> str:
    """Quote a URL after `source=`, whose `=` and `&` mean something else in Hydra's grammar."""
    key, _, value = word.partition("=")
    if key != "source" or "://" not in value or value[0] in "'\"[":
        return word
    return f"{key}={quoted_value(value)}"
