"""What the configuration of a whole run holds: the root, and the blocks that are not parts."""

from __future__ import annotations

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
    """Marks an argument whose keys are those of a constructor, given as `module:Class`."""

    constructor: str


@dataclass(frozen=True)
class Trainer:
    """How long and on what a detector trains.

    Args:
        max_epochs: Passes over the training split; null leaves the end to the next two.
        max_steps: Optimizer steps after which the training ends; the learning rate follows. Where
            this or `max_minutes` is set, `max_epochs` counts only if it is typed, too.
        max_minutes: Minutes of training, in all starts of the run, after which it ends; the
            learning rate follows. Two such runs are never equal bit by bit.
        accelerator: `auto` takes a GPU where there is one.
        devices: Number of devices on each node, or `auto`.
        num_nodes: Number of machines.
        strategy: How several devices work together: `ddp`, which is `auto`, or `fsdp`, with which
            each keeps only its part of the weights, their gradients and the optimizer's state.
        precision: Bits of the arithmetic; 16 scales the loss.
        accumulate_grad_batches: Batches of an optimizer step, whose gradient is that of one batch
            of all their images: losses are divided by what all of them count. Exceptions: batch
            norm uses the statistics of each batch (norm `group` does not); `ghm_c` and `ghm_r`
            weigh by the gradients of each batch; samplers draw for each batch; roi heads divide by
            the regions of each batch, which are mostly equally many; a head with an objectness and
            assigner `sim_ota` or `task_aligned` divides by the positives of each batch.
        gradient_clip_norm: Largest L2 norm of all gradients; null does not clip, `auto` clips where
            the source of the detector's head does: at 10 for those of YOLO.
        sync_batchnorm: Share batch statistics between devices.
        channels_last: Keep weights, and so maps, in channels-last order, which is faster; null does
            so with every strategy but fsdp, which divides weights in the usual order.
        compile: Compile the detector's network with torch.compile.
        deterministic: `strict` refuses an operation that cannot repeat, `warn` names it, `none`
            allows.
        validate_every: Epochs between validations.
        limit_train_batches: Batches of an epoch; null takes all. For trying things out.
        limit_validation_batches: Batches of a validation; null takes all.
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
    """Transforms by label, in the order of the page; a label set to null is left out.

    Args:
        train: What training samples go through.
        evaluation: What validation and prediction images go through.
        pad_multiple: Height and width of a batch are padded to multiples of this, at the right and
            the bottom.
        close_mosaic: Last epochs of a training, in which transforms that mix several images
            (mosaic, mixup, copy_paste) are left out, so that it ends on images as they are.
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
        data: Where the images are and how batches are made of them.
        augmentation: What happens to an image before it is in a batch.
        optimizer: How parameters move.
        scheduler: How the learning rate moves.
        trainer: How long and on what.
        metric: What validation measures.
        callbacks: What happens beside training, by label.
        logger: Where numbers go besides the run folder; null sends nothing anywhere.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; every transform with a size follows. Null leaves each page's own.
        seed: Every random choice follows from it.
        run_name: Name of the run in its folder and in loggers.
        run_folder: Where everything that the run writes lies.
        ckpt: A run folder or checkpoint to resume.
        weights: What the detector starts from: a run, a checkpoint, a bundle, or weights of
            torchvision or timm, as far as names and shapes agree; classes by name.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.module:DetectionData")]
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
    """The root of `detkit benchmark`: that of a training, which is measured.

    Args:
        steps: How often each thing is measured.
    """

    steps: PositiveInt = 10


@dataclass(frozen=True)
class Import:
    """The root of `detkit import`.

    Args:
        model: The detector that the weights are put into.
        augmentation: What happens to an image before the detector sees it.
        metric: What `detkit evaluate` measures.
        file: A weight file, a checkpoint, a run folder or a bundle.
        classes: Names of the file's classes, in order, where it holds none: a list, or a file of
            them (a name a line, JSON, COCO JSON, YOLO YAML).
        new_classes: Names of the classes to detect, given in the same ways; null takes the file's.
        output: The checkpoint to write; null names it after the file.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; every transform with a size follows. Null leaves each page's own.
        seed: Of the first values of whatever the file does not hold.
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
        model: The detector; the checkpoint's own, its post-processing can be changed.
        data: Where the images are; the checkpoint's own unless chosen.
        augmentation: What happens to an image before it is in a batch.
        metric: What is measured.
        ckpt: A run folder or a checkpoint file.
        split: The split to measure, in any word for it: val, valid, test and so on;
            `validation` is the one that the configuration validates on.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; every transform with a size follows. Null leaves each page's own.
        device: Where the detector runs; `auto` takes a GPU where there is one.
        output: A folder for metrics.json, detections.json and pictures; null writes none.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.module:DetectionData")]
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
        data: Where the images and their objects are.
        metric: What is measured.
        detections: A COCO results file.
        split: The split to measure, in any word for it: val, valid, test and so on;
            `validation` is the one that the configuration validates on, `all` takes a data set
            that is not split.
        output: A folder for metrics.json and pictures; null writes none.
        plugins: Modules or Python files that register parts.
    """

    data: Annotated[object, Block("detkit.data.module:DetectionData")]
    metric: Annotated[object, Slot("metric", "coco")]
    detections: str
    split: str = "validation"
    output: str | None = None
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Predict:
    """The root of `detkit predict`.

    Args:
        model: The detector; the checkpoint's own, its post-processing can be changed.
        augmentation: What happens to an image before the detector sees it.
        ckpt: A run folder or a checkpoint file.
        source: An image file, a folder of images, or a pattern such as 'photos/*.jpg'.
        output: The folder that pictures and detections.json are written to.
        score_threshold: Detections below this score are left out of pictures and JSON; null takes
            the score at which the run measured its best F1, or 0.3 where none was measured.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; every transform with a size follows. Null leaves each page's own.
        batch_size: Images that the detector sees at once.
        device: Where the detector runs; `auto` takes a GPU where there is one.
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
        model: The detector; the step's own, with what the command line changes.
        trainer: The step's own; of it, precision and channels_last have an effect.
        device: Where the step is repeated; `auto` takes the kind of device that it ran on.
        output: A folder for the pictures of the batch; null writes none.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    trainer: Annotated[object, Block("detkit.config.root:Trainer")]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    output: str | None = None
    plugins: list[str] = field(default_factory=list)
