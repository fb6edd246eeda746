"""Draw validation images with objects and detections."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from detkit.registry import Fraction, PositiveInt, Wired, register
from detkit.runs.layout import RunFolder
from detkit.structures import Batch, Detections, Target
from detkit.visualization.panels import OVERVIEW, montage, resized, side_by_side

T = TypeVar("T")
_OVERVIEW_SIDE = 800  # longest side of one pair in the overview


_LOWEST_SCORE = 0.05  # of detections for loggers, which have their own threshold


class ValidationPicture(NamedTuple):
    """An image as the detector sees it, without padding; boxes in its coordinates."""

    image: Tensor
    target: Target
    detections: Detections
    name: str


class Spread(Generic[T]):
    """An evenly spaced selection from a sequence of unknown length.

    It starts with every item. Whenever it has twice as many items as needed, it drops every second
    one and doubles its step.

    Args:
        count: Number of items to select.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._kept: list[T] = []
        self._step = 1
        self._seen = 0

    def wants_next(self) -> bool:
        """Whether to add the next item of the sequence; call it once per item."""
        self._seen += 1
        return (self._seen - 1) % self._step == 0

    def add(self, item: T) -> None:
        """Add an item for which `wants_next` was true."""
        self._kept.append(item)
        if len(self._kept) == 2 * self.count:
            self._kept = self._kept[::2]
            self._step *= 2

    def chosen(self) -> list[T]:
        """The selected items in order; all of them if there are not more than `count`."""
        if len(self._kept) <= self.count:
            return self._kept
        return [self._kept[i * len(self._kept) // self.count] for i in range(self.count)]


@register("callback", "pictures")
class Pictures(pl.Callback):
    """Write validation pictures into the run folder: objects beside detections.

    Every validation draws the same images, spread evenly over the split. `pictures/01.jpg`, ... and
    `pictures/overview.jpg`, which shows all of them, are written after the first validation, so
    that misplaced boxes are noticed early, and again when training ends.

    Args:
        run_folder: Where the run writes.
        class_names: The classes, in label order.
        count: Number of images.
        score_threshold: Detections below this score are not drawn.
        every: Also write to `pictures/epoch_N/` after this many validations; null never does.
    """

    def __init__(
        self,
        *,
        run_folder: Wired[str],
        class_names: Wired[list[str]],
        count: PositiveInt = 8,
        score_threshold: Fraction = 0.3,
        every: PositiveInt | None = None,
    ) -> None:
        self.folder = RunFolder(run_folder).pictures
        self.class_names = class_names
        self.count = count
        self.score_threshold = score_threshold
        self.every = every
        self._validations = 0
        self._spread: Spread[ValidationPicture] = Spread(count)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the pictures of the last validation."""
        self._spread = Spread(self.count)

    def on_validation_batch_end(  # noqa: PLR0917  # as Lightning declares it
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the selected images of this batch, on rank 0."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        for position in range(len(batch)):
            if self._spread.wants_next():
                self._spread.add(self._keep(batch, outputs[position], position))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write after the first validation, after every `every`, and outside of a training."""
        if trainer.sanity_checking:
            return
        self._validations += 1
        if trainer.state.fn != TrainerFn.FITTING or self._validations == 1:
            self._write(self.folder)
        if self.every is not None and self._validations % self.every == 0:
            self._write(self.folder / f"epoch_{trainer.current_epoch + 1:03d}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the pictures of the last validation."""
        self._write(self.folder)

    def samples(self) -> list[ValidationPicture]:
        """The images of the last validation, including detections with low scores."""
        return self._spread.chosen()

    def state_dict(self) -> dict[str, int]:
        """The number of validations so far."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue counting."""
        self._validations = state_dict["validations"]

    def _keep(self, batch: Batch, detections: Detections, position: int) -> ValidationPicture:
        height, width = batch.image_sizes[position]
        to_image = batch.to_image[position]
        target = batch.original_targets[position]
        detections = above(detections, min(self.score_threshold, _LOWEST_SCORE))
        return ValidationPicture(
            image=batch.images[position, :, :height, :width].cpu().clone(),
            target=target.with_boxes(moved(target.boxes, to_image), to_image.cpu()),
            detections=detections.in_picture(partial(moved, to_image=to_image), (height, width)),
            name=Path(batch.paths[position]).name,
        )

    def _write(self, folder: Path) -> None:
        pictures = self._spread.chosen()
        if not pictures:
            return
        folder.mkdir(parents=True, exist_ok=True)
        note = f"score {self.score_threshold:.2f} or more"
        pairs = [
            side_by_side(
                picture.image,
                picture.target,
                above(picture.detections, self.score_threshold),
                self.class_names,
                caption=picture.name,
                note=note,
            )
            for picture in pictures
        ]
        for number, pair in enumerate(pairs, start=1):
            pair.save(folder / f"{number:02d}.jpg", quality=92, subsampling=0)
        small = [resized(pair, _OVERVIEW_SIDE)[0] for pair in pairs]
        sheet = montage(small, [""] * len(small), columns=min(2, len(small)))
        sheet.save(folder / f"{OVERVIEW}.jpg", quality=90, subsampling=0)


def above(detections: Detections, threshold: float) -> Detections:
    """The detections with a score of at least the threshold."""
    return detections.select(detections.scores >= threshold)


def moved(boxes: Tensor, to_image: Tensor) -> Tensor:
    """Boxes of the original image in the coordinates of the image that the detector saw.

    Args:
        boxes: (N, 4).
        to_image: (3, 3); see `Sample.to_image`.
    """
    matrix = to_image.to(boxes)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    points = corners @ matrix[:, :2].T + matrix[:, 2]  # (N, 4, 3) homogeneous
    corners = points[..., :2] / points[..., 2:]
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
