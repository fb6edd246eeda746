"""What the configuration of a whole run holds: the root, and the blocks that are not parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from detkit.registry import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Slot,
)

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
            Exceptions: batch norm uses the statistics of each batch (norm `group` does not);
            `ghm_c` and `ghm_r` weight by the gradients of each batch; samplers draw for each
            batch; roi heads divide by the number of regions in each batch, which rarely varies; a
            head with an objectness branch and assigner `sim_ota` or `task_aligned` divides by the
            positives of each batch.
        gradient_clip_norm: Maximum L2 norm of all gradients together; null does not clip, `auto`
            clips if the head's original implementation does (at 10 for YOLO heads).
        sync_batchnorm: Share batch statistics between devices.
        channels_last: Keep weights and feature maps in channels-last order, which is faster; null
            does so with every strategy except fsdp, which shards weights in the default order.
        compile: Compile the detector's network with torch.compile.
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
            (mosaic, mixup, copy_paste), so that training ends on unmixed images.
    """

    train: Annotated[dict[str, Any], Slot("transform")]
    evaluation: Annotated[dict[str, Any], Slot("transform")]
    pad_multiple: PositiveInt = 32
    close_mosaic: NonNegativeInt = 0


@dataclass(frozen=True)
class Train:
    """The root of `detkit train`.

    Args:
        model: The detector.
        data: The images and how they are batched.
        augmentation: Transforms of training and validation images.
        optimizer: The optimizer.
        scheduler: The learning rate schedule.
        trainer: Length and devices of the training.
        metric: What validation measures.
        callbacks: What runs alongside training, by label.
        logger: Where metrics go besides the run folder; null sends nothing anywhere.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null keeps each page's sizes.
        seed: Seed of every random choice.
        run_name: Name of the run in its folder and in loggers.
        run_folder: Folder that the run writes to.
        ckpt: A run folder or checkpoint to resume.
        weights: Where the detector's initial weights come from: a run, a checkpoint, a bundle, or
            weights of torchvision or timm. Tensors whose names and shapes agree are taken, classes
            by name.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    augmentation: Annotated[object, Block("detkit.config.root:Augmentation")]
    optimizer: Annotated[object, Slot("optimizer", "sgd")]
    scheduler: Annotated[object, Slot("scheduler", "cosine")]
    trainer: Annotated[object, Block("detkit.config.root:Trainer")]
    metric: Annotated[object, Slot("metric", "coco")]
    callbacks: Annotated[dict[str, Any], Slot("callback")]
    logger: Annotated[object | None, Slot("logger")]
    image_size: ImageSize | None = None
    seed: NonNegativeInt = 0
    run_name: str = "run"
    run_folder: str = "runs/run"
    ckpt: str | None = None
    weights: str | None = None
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Benchmark(Train):
    """The root of `detkit benchmark`: the keys of the training to measure, and `steps`.

    Args:
        steps: Repetitions of each measurement.
    """

    steps: PositiveInt = 10


@dataclass(frozen=True)
class Import:
    """The root of `detkit import`.

    Args:
        model: The detector that receives the weights.
        augmentation: Transforms of the images that the detector sees.
        metric: What `detkit evaluate` measures.
        file: A weight file, a checkpoint, a run folder or a bundle.
        classes: Names of the file's classes, in order, if it contains none: a list, or a file of
            names (one per line, JSON, COCO JSON, YOLO YAML).
        new_classes: Names of the classes to detect, in the same formats; null takes the file's.
        output: The checkpoint to write; null names it after the file.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null keeps each page's sizes.
        seed: Seed of the initial values of all weights that the file does not contain.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    augmentation: Annotated[object, Block("detkit.config.root:Augmentation")]
    metric: Annotated[object, Slot("metric", "coco")]
    file: str
    classes: list[str] | str | None = None
    new_classes: list[str] | str | None = None
    output: str | None = None
    image_size: ImageSize | None = None
    seed: NonNegativeInt = 0
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluate:
    """The root of `detkit evaluate`.

    Args:
        model: The checkpoint's detector; you can change its post-processing.
        data: The images; the checkpoint's data unless you choose others.
        augmentation: Transforms of the images.
        metric: What is measured.
        ckpt: A run folder or a checkpoint file.
        split: The split to measure, by any common name: val, valid, test and so on;
            `validation` is the one that the configuration validates on.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null keeps each page's sizes.
        device: Where the detector runs; `auto` uses a GPU if there is one.
        output: A folder for metrics.json, detections.json and pictures; null writes none.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    augmentation: Annotated[object, Block("detkit.config.root:Augmentation")]
    metric: Annotated[object, Slot("metric", "coco")]
    ckpt: str
    split: str = "validation"
    image_size: ImageSize | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    output: str | None = None
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measure:
    """The root of `detkit evaluate detections=FILE`.

    Args:
        data: The images and their objects.
        metric: What is measured.
        detections: A COCO results file.
        split: The split to measure, by any common name: val, valid, test and so on;
            `validation` is the one that the configuration validates on, `all` takes a data set
            without splits.
        output: A folder for metrics.json and pictures; null writes none.
        plugins: Modules or Python files that register parts.
    """

    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    metric: Annotated[object, Slot("metric", "coco")]
    detections: str
    split: str = "validation"
    output: str | None = None
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Predict:
    """The root of `detkit predict`.

    Args:
        model: The checkpoint's detector; you can change its post-processing.
        augmentation: Transforms of the images that the detector sees.
        ckpt: A run folder or a checkpoint file.
        source: An image file, a folder of images, or a pattern such as 'photos/*.jpg'.
        output: Folder for the pictures and detections.json.
        score_threshold: Minimum score of detections in pictures and JSON; null takes the score
            with the best F1 on the run's validation images, or 0.3 if the run measured none.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null keeps each page's sizes.
        batch_size: Images per forward pass.
        device: Where the detector runs; `auto` uses a GPU if there is one.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    augmentation: Annotated[object, Block("detkit.config.root:Augmentation")]
    ckpt: str
    source: str
    output: str = "predictions"
    score_threshold: Fraction | None = None
    image_size: ImageSize | None = None
    batch_size: PositiveInt = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Replay:
    """The root of `detkit replay`.

    Args:
        model: The step's detector, with the changes of the command line.
        trainer: The step's settings; only precision and channels_last have an effect.
        device: Where to repeat the step; `auto` uses the kind of device it ran on.
        output: A folder for the pictures of the batch; null writes none.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    trainer: Annotated[object, Block("detkit.config.root:Trainer")]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    output: str | None = None
    plugins: list[str] = field(default_factory=list)
