"""Validation pictures while a detector trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from detkit.registry import Fraction, PositiveInt, Wired, register
from detkit.structures import Batch, Detections, Target
from detkit.visualization.draw import draw_detections, draw_target, grid, to_picture


@register("callback", "pictures")
class Pictures(pl.Callback):
    """Write `pictures/*.png` after each validation: objects beside detections of some images.

    Args:
        run_folder: Where the run writes.
        class_names: The classes, in label order.
        count: Images, spread evenly over the validation batches.
        score_threshold: Detections below this score are not drawn.
    """

    def __init__(
        self,
        *,
        run_folder: Wired[str],
        class_names: Wired[list[str]],
        count: PositiveInt = 8,
        score_threshold: Fraction = 0.3,
    ) -> None:
        self.folder = Path(run_folder) / "pictures"
        self.class_names = class_names
        self.count = count
        self.score_threshold = score_threshold
        self._written = 0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        self._written = 0

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Draw this batch's share of the images."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        batches = int(trainer.num_val_batches[0])  # type: ignore[index,arg-type]
        due = -(-self.count * (batch_idx + 1) // batches) - self._written
        for position in range(min(due, len(batch), self.count - self._written)):
            self._write(batch, outputs[position], position)

    def _write(self, batch: Batch, found: Detections, position: int) -> None:
        height, width = batch.image_sizes[position]
        picture = to_picture(batch.images[position, :, :height, :width].cpu())
        to_image = batch.to_image[position]
        target = batch.original_targets[position]
        shown = found._replace(boxes=_moved(found.boxes, to_image))
        kept = shown.scores >= self.score_threshold
        shown = Detections(shown.boxes[kept], shown.scores[kept], shown.labels[kept])
        moved: Target = target.with_boxes(_moved(target.boxes, to_image))
        name = Path(batch.paths[position]).name
        pair = [
            (draw_target(picture, moved, self.class_names), f"{name}: objects"),
            (draw_detections(picture, shown, self.class_names), "detections"),
        ]
        self._written += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        grid(pair, columns=2).save(self.folder / f"{self._written:02d}.png")


def _moved(boxes: Tensor, to_image: Tensor) -> Tensor:
    """Boxes of the original image in the image that the detector saw."""
    matrix = to_image.to(boxes)
    corners = boxes.reshape(-1, 2, 2) * torch.diagonal(matrix)[:2] + matrix[:2, 2]
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    return torch.cat([low, high], dim=1)
