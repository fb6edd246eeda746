"""Blocks: keys of the root that group settings and are not parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from detkit.registry import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Slot

ImageSize = PositiveInt | tuple[PositiveInt, PositiveInt]


@dataclass(frozen=True)
class Block:
    """Marks an argument whose keys are the arguments of a constructor.

    Attributes:
        constructor: The class, or `module:Class` to import it only when the block is checked.
    """

    constructor: str | Callable[..., Any]


@dataclass(frozen=True)
class Trainer:
    """Length and devices of a training.

    Args:
        max_epochs: Passes over the training split; null means that one of the next two ends the
            training.
        max_steps: Optimizer steps after which the training ends; the learning rate schedule covers
            them. If this or `max_minutes` is set, `max_epochs` has no effect unless it is typed
            too.
        max_minutes: Minutes after which the training ends, over all starts of the run; the
            learning rate schedule covers them. Two such runs are never bit-identical.
        accelerator: `auto` uses a GPU if there is one.
        devices: Number of devices on each node, or `auto`.
        num_nodes: Number of machines.
        strategy: How several devices work together: `ddp` (also `auto`), or `fsdp`, where each
            device holds only its share of the weights, gradients and optimizer state.
        precision: Bits of the arithmetic; 16 scales the loss.
        accumulate_grad_batches: Batches per optimizer step. The gradient is the one of a single
            batch with all their images: losses are divided by counts over all these batches.
            Exceptions: batch norm uses the statistics of each batch (norm `cmbn` those of the
            batches so far in the step, norm `group` none);
            `ghm_c` and `ghm_r` weight by the gradients of each batch; samplers draw for each
            batch; roi heads divide by the number of regions in each batch, which rarely varies; a
            head with an objectness branch and assigner `sim_ota` or `task_aligned` divides by the
            positives of each batch.
        gradient_clip_norm: Maximum L2 norm of all gradients together; null does not clip, `auto`
            clips if the head's original implementation does (at 10 for YOLO heads).
        sync_batchnorm: Share batch statistics between devices.
        channels_last: Keep weights and feature maps in channels-last order, which is faster; null
            does so with every strategy except fsdp, which shards weights in the default order.
        compile: Compile the network with torch.compile, and with it the losses of one-stage
            detectors.
        deterministic: `strict` refuses nondeterministic operations, `warn` reports them, `none`
            allows them.
        validate_every: Epochs between validations.
        limit_train_batches: Batches per epoch, for quick trials; null takes all.
        limit_validation_batches: Batches per validation; null takes all.
        log_every: Steps between two lines of the metrics file.
    """

    max_epochs: PositiveInt | None = 12
    max_steps: PositiveInt | None = None
    max_minutes: PositiveFloat | None = None
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt | Literal["auto"] = 1
    num_nodes: PositiveInt = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Literal[32, 16, "bf16"] = 32
    accumulate_grad_batches: PositiveInt = 1
    gradient_clip_norm: NonNegativeFloat | Literal["auto"] | None = "auto"
    sync_batchnorm: bool = False
    channels_last: bool | None = None
    compile: bool = False
    deterministic: Literal["strict", "warn", "none"] = "none"
    validate_every: PositiveInt = 1
    limit_train_batches: PositiveInt | None = None
    limit_validation_batches: PositiveInt | None = None
    log_every: PositiveInt = 10


@dataclass(frozen=True)
class Augmentation:
    """Transforms by label, in the order of the page; null removes a label.

    Args:
        train: Transforms of training samples.
        evaluation: Transforms of validation and prediction images.
        pad_multiple: Pad height and width of a batch to multiples of this, on the right and at the
            bottom.
        close_mosaic: Number of final epochs without the transforms that mix several images
            (mosaic, mixup, cutmix, copy_paste), so that training ends on unmixed images.
    """

    train: Annotated[dict[str, Any], Slot("transform")]
    evaluation: Annotated[dict[str, Any], Slot("transform")]
    pad_multiple: PositiveInt = 32
    close_mosaic: NonNegativeInt = 0
