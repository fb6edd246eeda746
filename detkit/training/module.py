"""The Lightning module that trains and validates any detector."""

from __future__ import annotations

import math
from typing import Any, cast

import lightning.pytorch as pl
import torch
import torch.distributed
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from detkit.detectors.base import DetectorModule
from detkit.errors import UserError
from detkit.interfaces import Metric, OptimizerFactory, Schedule
from detkit.optimizers.older_state import regrouped
from detkit.runs.metrics_logger import MetricsFile
from detkit.runs.training_position import RANDOM_STATES, add_position, restore_random_state
from detkit.structures import Batch, Detections
from detkit.training.accumulation import Accumulation, BatchOfStep
from detkit.training.compilation import CompiledLoss
from detkit.training.gradient_norm import GradientNorm, clip
from detkit.training.metric_schedule import STATE as METRIC_SCHEDULE
from detkit.training.metric_schedule import MetricSchedule
from detkit.training.sharding import divide_again, gather_weights, is_divided
from detkit.training.training_limits import length_of


class DetectionModule(pl.LightningModule):
    """Connects a detector, its optimizer and its metric to Lightning's loops."""

    def __init__(
        self,
        *,
        detector: DetectorModule,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        metric: Metric,
        checkpoint_record: dict[str, Any],
        batch_size: int,
        compile_loss: bool = False,
    ) -> None:
        """Take parts that are already built.

        Args:
            detector: The detector to train.
            optimizer: Builds the optimizer of the detector's parameters.
            schedule: The learning-rate factor of each optimizer step.
            metric: The metric of the validation.
            checkpoint_record: Plain values that every checkpoint contains as "detkit".
            batch_size: Images per batch on one device.
            compile_loss: Compile losses and network as one graph.
        """
        super().__init__()
        self.detector = detector
        self.optimizer_factory = optimizer
        self.schedule = schedule
        self.metric = metric
        self.checkpoint_record = checkpoint_record
        self.batch_size = batch_size
        self._loss = CompiledLoss(detector) if compile_loss else detector.loss
        self.step_losses: dict[str, Tensor] = {}  # the parts of the last batch, for callbacks
        self.gradient_norm = GradientNorm()
        self._accumulation = Accumulation(detector)
        self._resumed_states: list[Any] = []
        self._full_rates: list[float] = []

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Copy images and targets; from pinned memory, the copy overlaps with computation."""
        return batch.to(device, non_blocking=True)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the sum of the loss parts, and the parts as "parts" for callbacks."""
        share = self._begin_step(batch, batch_idx)
        values = self._loss(batch)
        self._end_batch(batch, batch_idx)
        total = torch.stack([v.float() for k, v in values.items() if k.startswith("loss/")]).sum()
        parts = {name: value.detach() for name, value in values.items()}
        self.step_losses = parts
        for logger in self.loggers:
            if isinstance(logger, MetricsFile):
                logger.count_images(len(batch) * self.trainer.world_size)
        if self._logs_this_step():
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            # Since normalisers are shared, the mean over ranks is the loss of all their images.
            losses = {"loss": total.detach(), **parts}
            self.log_dict(losses, batch_size=len(batch), sync_dist=self.trainer.world_size > 1)
            self.log("learning_rate", rate, batch_size=len(batch))
        return {"loss": total if share == 1 else share * total, "parts": parts}

    def _begin_step(self, batch: Batch, batch_idx: int) -> float:
        """Count the batches of an optimizer step before its first one.

        Returns:
            The factor that corrects Lightning's division by trainer.accumulate_grad_batches in an
            epoch's last step, which may have fewer batches.
        """
        if not isinstance(batch, BatchOfStep):
            return 1.0
        number = batch_idx % self.trainer.accumulate_grad_batches
        batches = min(len(batch.step), int(self.trainer.num_training_batches) - batch_idx + number)
        if number == 0:
            self._accumulation.begin(batch, batches)
        return self.trainer.accumulate_grad_batches / batches

    def _end_batch(self, batch: Batch, batch_idx: int) -> None:
        if isinstance(batch, BatchOfStep):
            number = batch_idx % self.trainer.accumulate_grad_batches
            self._accumulation.after_batch(batch, number)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Correct accumulated gradients if the counts of their batches are only known now."""
        factor = self._accumulation.correction()
        if factor != 1:
            for parameter in self.detector.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm that the check for non-finite values has computed, if there is one."""
        norm = self.gradient_norm.pop(optimizer)
        by_norm = gradient_clip_algorithm in (None, "norm")
        if norm is None or not by_norm or not gradient_clip_val or is_divided(self.detector):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            clip(optimizer, norm, gradient_clip_val)

    def _logs_this_step(self) -> bool:
        """Whether Lightning sends this step to the loggers; logging other steps would cost time."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return (self.global_step + 1) % every == 0

    def on_train_start(self) -> None:
        """Resume at the position of the checkpoint; drop metrics that were logged after it."""
        restore_random_state(self.trainer, self._resumed_states)
        self._set_rates()
        for logger in self.loggers:
            if isinstance(logger, MetricsFile):
                logger.start_at(self.global_step)

    def _set_rates(self) -> None:
        """Set the learning rates and schedule of this configuration, at the step of the checkpoint.

        The checkpoint has restored its own, which may differ. If they do not, the values are
        bit-identical.
        """
        scheduler: Any = self.trainer.lr_scheduler_configs[0].scheduler
        scheduler.base_lrs = list(self._full_rates)
        groups = scheduler.optimizer.param_groups
        for group, rate, factor in zip(groups, self._full_rates, scheduler.lr_lambdas, strict=True):
            group["initial_lr"] = rate
            group["lr"] = rate * factor(scheduler.last_epoch)
        scheduler._last_lr = [group["lr"] for group in groups]

    def on_validation_start(self) -> None:
        """Make all ranks validate the model of rank 0; without SyncBN, norm statistics differ."""
        if self.trainer.world_size > 1:
            for buffer in self.detector.buffers():
                torch.distributed.broadcast(buffer, src=0)
        gather_weights(self.detector)

    def on_validation_end(self) -> None:
        """Divide the weights again if the strategy divides them."""
        divide_again(self.detector)

    def on_validation_epoch_start(self) -> None:
        """Reset the metric."""
        self.metric.reset()

    def validation_step(  # type: ignore[override]  # callbacks take what Lightning passes on
        self, batch: Batch, batch_idx: int
    ) -> list[Detections]:
        """Pass detections, in original image coordinates, to the metric and to callbacks."""
        detections = batch.without_blank(to_cpu(self.detector.predict(batch)))
        self.metric.update(batch.image_ids, detections, batch.original_targets)
        return detections

    def on_validation_epoch_end(self) -> None:
        """Merge the detections of all ranks and log the metrics, which are the same on each rank.

        Every rank computes them itself, so that none waits in a collective for another. Metrics
        that are NaN (a class or size without objects) are dropped, except AP and AP50 of boxes and
        masks.
        """
        if self.trainer.world_size > 1:
            states: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(states, self.metric.state())
            self.metric.merge([s for rank, s in enumerate(states) if rank != self.global_rank])
        metrics = self.metric.compute()
        for name, value in metrics.items():
            if name.removeprefix("mask_") in ("AP", "AP50") or not math.isnan(value):
                self.log(f"val/{name}", value, batch_size=1, rank_zero_only=False)
        if isinstance(self.schedule, MetricSchedule) and self._is_fitting():
            self.schedule.after_validation(metrics)
            self._set_rates()

    def _is_fitting(self) -> bool:
        """Whether a validation belongs to a training, and is not its sanity check."""
        return self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking

    def configure_optimizers(self) -> Any:
        """Build the optimizer, and a schedule that advances with each of its steps."""
        length = length_of(self.trainer)
        if self.trainer.train_dataloader is None:
            self.trainer.fit_loop.setup_data()  # as Lightning itself does to estimate steps
        total_steps = length.total_steps(self.trainer)
        if total_steps < 1:
            raise UserError(
                f"the training split gives {total_steps} optimizer steps, expected 1 or more: "
                "check trainer.max_epochs and that the training split has images."
            )
        batches = self.trainer.world_size * self.trainer.accumulate_grad_batches
        optimizer = self.optimizer_factory(self.detector, self.batch_size * batches)
        self._full_rates = [group["lr"] for group in optimizer.param_groups]
        trainer = self.trainer

        # A plain function, because the attributes of an object would be in the checkpoint.
        def factor(step: int) -> float:
            total = length.total_steps(trainer, step)
            return self.schedule(
                min(step, total - 1), total
            )  # Lightning asks for one step too many

        scheduler = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record of the detector and the position, as tensors and plain values."""
        checkpoint["detkit"] = self.checkpoint_record
        if isinstance(self.schedule, MetricSchedule):
            checkpoint[METRIC_SCHEDULE] = self.schedule.state_dict()
        add_position(self.trainer, checkpoint, self.batch_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the states of the random generators until the training starts.

        Also regroup an optimizer state that an earlier version saved.
        """
        self._resumed_states = checkpoint.get(RANDOM_STATES, [])
        if isinstance(self.schedule, MetricSchedule) and METRIC_SCHEDULE in checkpoint:
            self.schedule.load_state_dict(checkpoint[METRIC_SCHEDULE])
        if "optimizer_states" in checkpoint:
            states = checkpoint["optimizer_states"]
            checkpoint["optimizer_states"] = [regrouped(state, self.detector) for state in states]


def detection_module(module: pl.LightningModule) -> DetectionModule:
    """The module that Lightning passes to a callback, with its own type."""
    return cast(DetectionModule, module)


def to_cpu(detections: list[Detections]) -> list[Detections]:
    """Detections of a batch on the CPU, with one copy per field instead of one per image."""
    if not detections:
        return []
    counts = [len(image.scores) for image in detections]
    columns: list[tuple[Tensor, ...]] = [
        torch.split(torch.cat(column).cpu(), counts) for column in zip(*detections, strict=True)
    ]
    return [
        Detections(*fields).with_masks(image.masks)
        for fields, image in zip(zip(*columns, strict=True), detections, strict=True)
    ]
