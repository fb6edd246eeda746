"""Loggers for numbers, pictures and results outside the run folder."""

from __future__ import annotations

import importlib
import importlib.util
import math
import secrets
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from detkit.errors import UserError
from detkit.registry import PositiveInt, Wired, register
from detkit.runs.layout import RunFolder
from detkit.training.callbacks.pictures import ValidationPicture, above
from detkit.training.logger_content import ClassScores, TrainingResult, class_scores, flattened
from detkit.training.wandb_content import (
    best_model,
    class_table,
    overlay,
    picture_file,
    precision_recall,
)
from detkit.visualization.panels import side_by_side

_STEP = "trainer/global_step"  # Lightning's name of the horizontal axis
_BEST = "best"
_DRAWN_SCORE = 0.3  # least score of a detection in TensorBoard's pictures


@register("logger", "wandb")
class Wandb(WandbLogger):
    """Weights & Biases, online, offline (upload later with `wandb sync`) or disabled.

    W&B gets the whole configuration, all metrics of `metrics.csv`, validation images with objects
    and detections as box overlays, and per-class metrics as a table. After training it gets
    precision-recall curves and the drawn analysis; the summary has the best values (`best/AP`).
    A resumed run continues in the same W&B run: the run folder stores its id.

    Args:
        run_folder: Where W&B keeps its files.
        mode: `online` sends metrics to W&B's servers as they are logged, `offline` keeps them in
            the run folder, `disabled` does nothing.
        project: The project that the run belongs to.
        entity: The user or team that owns the project; null takes your default.
        group: Runs with the same group are shown together, such as the runs of a sweep.
        title: Name of the run; null takes the name of the run folder.
        tags: Words to filter runs by.
        run_id: Id of the run; null takes the id in the run folder, or a new one.
        log_model: `best` stores the best checkpoint as a model artifact after training, or,
            if no validation gave a valid AP, the last one under that name; null stores none.
        pictures_every: Validations between two uploads of the validation images.
    """

    def __init__(
        self,
        *,
        run_folder: Wired[str],
        mode: Literal["online", "offline", "disabled"] = "offline",
        project: str = "detkit",
        entity: str | None = None,
        group: str | None = None,
        title: str | None = None,
        tags: list[str] | None = None,
        run_id: str | None = None,
        log_model: Literal["best"] | None = None,
        pictures_every: PositiveInt = 1,
    ) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise UserError(_missing("wandb", "wandb"))
        folder = Path(run_folder)
        super().__init__(
            name=title or folder.resolve().name,
            save_dir=str(folder),
            project=project,
            id=run_id or _kept_id(RunFolder(folder).wandb_run_id),
            entity=entity,
            group=group,
            tags=tags,
            mode=mode,
        )
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, and Lightning always sets it
        self._stores_best = log_model == "best"
        self._pictures_every = pictures_every
        self._validations = 0
        self._scores: set[str] = set()  # names already defined in W&B

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send numbers; the summary holds the highest and the last of each validation score."""
        # By name: W&B's own rule for all names (`*`) competes with a second one for `val/*`.
        for name in metrics.keys() - self._scores:
            if name.startswith("val/"):
                self._scores.add(name)
                self.experiment.define_metric(
                    name, summary="max,last", step_metric=_STEP, step_sync=True
                )
        super().log_metrics(_epochs_from_1(metrics), step)

    @rank_zero_only
    def log_pictures(
        self, pictures: Sequence[ValidationPicture], class_names: list[str], step: int
    ) -> None:
        """Show validation images with objects and detections as box overlays."""
        self._validations += 1
        if pictures and (self._validations - 1) % self._pictures_every == 0:
            images = [overlay(picture, class_names) for picture in pictures]
            self.experiment.log({"validation/pictures": images, _STEP: step})

    @rank_zero_only
    def log_classes(self, scores: ClassScores, step: int) -> None:
        """Show the numbers of each class as a table."""
        self.experiment.log({"validation/classes": class_table(scores), _STEP: step})

    @rank_zero_only
    def log_result(self, result: TrainingResult, step: int) -> None:
        """Put the best values into the summary; add tables, curves, pictures and the model."""
        scores = class_scores(result.numbers, result.class_names)
        content: dict[str, Any] = {f"analysis/{p.stem}": picture_file(p) for p in result.pictures}
        content["analysis/precision_recall_curves"] = precision_recall(result.analysis)
        if scores.columns:
            content[f"{_BEST}/classes"] = class_table(scores)
        self.experiment.log({**content, _STEP: step})
        plain = {name: value for name, value in result.numbers.items() if "/" not in name}
        best = {f"{_BEST}/{name}": value for name, value in plain.items() if math.isfinite(value)}
        self.experiment.summary.update({**best, f"{_BEST}/epoch": result.epoch})
        if self._stores_best:
            model = best_model(self.experiment.id, result, plain)
            self.experiment.log_artifact(model, aliases=["latest", result.checkpoint.stem])

    def close(self) -> None:
        """End the W&B run, so that the next run of this process gets its own."""
        if self._experiment is not None:
            self._experiment.finish()
            self._experiment = None


@register("logger", "tensorboard")
class TensorBoard(TensorBoardLogger):
    """TensorBoard event files in the run folder; open them with `tensorboard --logdir RUN`.

    They contain the configuration (as text and as hyperparameters), all metrics of `metrics.csv`,
    validation pictures, and after training the best values (`best/AP`) and the drawn analysis.

    Args:
        run_folder: The files are in its folder `tensorboard`.
        pictures_every: Validations between two writes of the validation pictures.
    """

    def __init__(self, *, run_folder: Wired[str], pictures_every: PositiveInt = 1) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError(_missing("tensorboard", "detkit[tensorboard]"))
        super().__init__(save_dir=run_folder, name="tensorboard", version="")
        self._pictures_every = pictures_every
        self._validations = 0

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *others: Any, **named: Any
    ) -> None:
        """Store the configuration as text, and as hyperparameters for comparing runs."""
        summary: Any = importlib.import_module("torch.utils.tensorboard.summary")

        config = vars(params) if isinstance(params, Namespace) else params
        page = yaml.safe_dump(config, sort_keys=False)
        text = "\n".join(f"    {line}" for line in page.splitlines())  # a code block in Markdown
        self.experiment.add_text("configuration", text)
        for record in summary.hparams(flattened(config), {f"{_BEST}/AP": 0.0}):
            self.experiment.file_writer.add_summary(record)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write numbers as scalars."""
        super().log_metrics(_epochs_from_1(metrics), step)

    @rank_zero_only
    def log_pictures(
        self, pictures: Sequence[ValidationPicture], class_names: list[str], step: int
    ) -> None:
        """Show validation images: objects at the left, detections at the right."""
        self._validations += 1
        if (self._validations - 1) % self._pictures_every != 0:
            return
        for number, picture in enumerate(pictures, start=1):
            shown = above(picture.detections, _DRAWN_SCORE)
            pair = side_by_side(picture.image, picture.target, shown, class_names)
            self._add_image(f"validation/{number:02d}", pair, step)

    def log_classes(self, scores: ClassScores, step: int) -> None:
        """Do nothing: the scalars `val/AP/CLASS` already have these numbers."""

    @rank_zero_only
    def log_result(self, result: TrainingResult, step: int) -> None:
        """Add the best values and the drawn analysis."""
        for name, value in result.numbers.items():
            if math.isfinite(value):
                self.experiment.add_scalar(f"{_BEST}/{name}", value, step)
        self.experiment.add_scalar(f"{_BEST}/epoch", result.epoch, step)
        for file in result.pictures:
            with Image.open(file) as picture:
                self._add_image(f"analysis/{file.stem}", picture.convert("RGB"), step)

    def _add_image(self, tag: str, picture: Image.Image, step: int) -> None:
        self.experiment.add_image(tag, np.asarray(picture), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        self.finalize("success")


def _epochs_from_1(metrics: Mapping[str, float]) -> dict[str, float]:
    """Numbers whose epoch counts from 1, as in metrics.csv and `best/epoch`; Lightning's is 0."""
    epoch = {"epoch": int(metrics["epoch"]) + 1} if "epoch" in metrics else {}
    return {**metrics, **epoch}


def _missing(logger: str, package: str) -> str:
    return (
        f"logger '{logger}' needs the package {logger}, which is not installed: run "
        f"pip install '{package}', or choose another logger."
    )


def _kept_id(path: Path) -> str:
    """Read or create the id in a file; only rank 0 needs one."""
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    fresh = secrets.token_hex(4)
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fresh + "\n", encoding="utf-8")
    return fresh
