"""The roots: the keys of each command's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from detkit.config.blocks import Block, ImageSize
from detkit.registry import Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Slot


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
        weights: Where the initial weights come from: `imagenet` (published weights of the
            backbone), `coco` (of the whole detector, for pages that have some), a run, a
            checkpoint, a bundle, a file of torchvision or timm, or `hf://OWNER/REPOSITORY/FILE`.
            Tensors whose names and shapes agree are taken, classes by name.
        init: How to initialise the hidden layers of neck and heads, and of a backbone without
            pretrained weights; null leaves it to each part. Output layers and biases stay as is.
        freeze: What does not train: a stage of the backbone (`stem`, `stage1`, ...), a part
            (`backbone`), a pattern for names of modules or parameters, or a list of them.
            `{parts: [backbone], until: 5}` trains them after 5 epochs. Frozen norms keep their
            statistics. Null freezes nothing.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    augmentation: Annotated[object, Block("detkit.config.blocks:Augmentation")]
    optimizer: Annotated[object, Slot("optimizer", "sgd")]
    scheduler: Annotated[object, Slot("scheduler", "cosine")]
    trainer: Annotated[object, Block("detkit.config.blocks:Trainer")]
    metric: Annotated[object, Slot("metric", "coco")]
    callbacks: Annotated[dict[str, Any], Slot("callback")]
    logger: Annotated[object | None, Slot("logger")]
    image_size: ImageSize | None = None
    seed: NonNegativeInt = 0
    run_name: str = "run"
    run_folder: str = "runs/run"
    ckpt: str | None = None
    weights: str | None = None
    init: Literal["he", "xavier", "orthogonal", "sparse"] | None = None
    freeze: str | list[str] | dict[str, str | int | list[str]] | None = None
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
    augmentation: Annotated[object, Block("detkit.config.blocks:Augmentation")]
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
        ckpt: A run folder or a checkpoint file; a list of them makes an ensemble.
        split: The split to measure, by any common name: val, valid, test and so on;
            `validation` is the one that the configuration validates on.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null keeps each page's sizes.
        tiling: Detect in overlapping tiles of the images, such as {size: 640, overlap: 0.2}.
        tta: Detect in several views of each image, such as {flip: true, scales: [0.8, 1.0, 1.2]}.
        merge: How views and detectors are merged: a post-processor, or {name: nms, ...}.
        ckpt_weights: How much each detector of `ckpt=[A,B]` counts; null weights all alike.
        device: Where the detector runs; `auto` uses a GPU if there is one.
        output: A folder for metrics.json, detections.json and pictures; null writes none.
        intervals: Whether to compute 95 % intervals of AP, AP50 and the AP of each class by drawing
            the images again; `{samples: 1000, seed: 0}` sets how.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    augmentation: Annotated[object, Block("detkit.config.blocks:Augmentation")]
    metric: Annotated[object, Slot("metric", "coco")]
    ckpt: str
    split: str = "validation"
    image_size: ImageSize | None = None
    tiling: Annotated[object, Block("detkit.inference.tiling:Tiling")] = None
    tta: Annotated[object, Block("detkit.inference.augmented_views:AugmentedViews")] = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    output: str | None = None
    intervals: bool | dict[str, NonNegativeInt] = False
    merge: str | dict[str, str | bool | float] | None = None
    ckpt_weights: list[PositiveFloat] | None = None
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
        intervals: Whether to compute 95 % intervals of AP, AP50 and the AP of each class by drawing
            the images again; `{samples: 1000, seed: 0}` sets how.
        plugins: Modules or Python files that register parts.
    """

    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    metric: Annotated[object, Slot("metric", "coco")]
    detections: str
    split: str = "validation"
    output: str | None = None
    intervals: bool | dict[str, NonNegativeInt] = False
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Predict:
    """The root of `detkit predict`.

    Args:
        model: The checkpoint's detector; you can change its post-processing.
        augmentation: Transforms of the images that the detector sees.
        ckpt: A run folder or a checkpoint file; a list of them makes an ensemble.
        source: An image or a video, a folder, a pattern such as 'photos/*.jpg', the number of a
            camera, an http or rtsp address, a text file that lists some, or a list of these.
        output: Folder for the files.
        every: Use every n-th frame of a video.
        start: Begin there in a video: seconds, or mm:ss.
        end: Stop there in a video: seconds, or mm:ss.
        track: Follow objects over the frames of a video; null follows none.
        format: What to write, one of `detkit list writer` or a list such as [pictures,yolo].
        classes: Names of the classes to keep, such as [dog,cat]; null keeps all.
        resume: What to do with an unfinished prediction in the output folder: null continues it,
            false starts over; true also accepts a finished one, and does nothing then.
        score_threshold: Minimum score of detections in all files; null takes the score with the
            best F1 on the run's validation images, or 0.3 if the run measured none. `per_class`
            takes the score with the best F1 of each class, and {dog: 0.4, cat: 0.5} sets them.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null keeps each page's sizes.
        mask_format: How JSON files store masks: `rle`, COCO's runs of pixels, or `polygons`.
        merge: How views and detectors are merged: a post-processor, or {name: nms, ...}.
        ckpt_weights: How much each detector of `ckpt=[A,B]` counts; null weights all alike.
        batch_size: Images per forward pass.
        tiling: Detect in overlapping tiles of the images, such as {size: 640, overlap: 0.2}.
        tta: Detect in several views of each image, such as {flip: true, scales: [0.8, 1.0, 1.2]}.
        device: Where the detector runs; `auto` uses a GPU if there is one.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    augmentation: Annotated[object, Block("detkit.config.blocks:Augmentation")]
    ckpt: str
    source: str | int | list[str | int]
    output: str = "predictions"
    every: PositiveInt = 1
    start: float | str | None = None
    end: float | str | None = None
    track: Literal["bytetrack", "sort"] | None = None
    format: str | list[str] = field(default_factory=lambda: ["pictures", "coco"])
    classes: list[str] | str | None = None
    resume: bool | None = None
    score_threshold: Fraction | Literal["per_class"] | dict[str, Fraction] | None = None
    mask_format: Literal["rle", "polygons"] = "rle"
    image_size: ImageSize | None = None
    merge: str | dict[str, str | bool | float] | None = None
    ckpt_weights: list[PositiveFloat] | None = None
    batch_size: PositiveInt = 1
    tiling: Annotated[object, Block("detkit.inference.tiling:Tiling")] = None
    tta: Annotated[object, Block("detkit.inference.augmented_views:AugmentedViews")] = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Export:
    """The root of `detkit export`.

    Args:
        model: The checkpoint's detector; you can change its post-processing.
        data: The images of the certificate; the checkpoint's data unless you choose others.
        augmentation: Transforms of the images.
        metric: What the certificate measures.
        exporter: The format; `format=NAME` selects it.
        ckpt: A run folder or a checkpoint file.
        output: The file or folder to write; null names it after the run.
        nms: Whether the graph holds the post-processing; without, it returns all boxes and scores.
        size: Height and width of the images, such as [320,416], or one number for both; `dynamic`
            takes images of any size.
        batch: The number of images; `dynamic` takes any.
        precision: `fp32`, `fp16` or `int8`.
        calibration: Images that show int8 the range of each layer's output: a folder, or a pattern
            such as 'photos/*.jpg'; null takes the run's training images.
        calibration_images: How many of them to use.
        keep_float: Layers that int8 leaves in float, such as [neck,head.layers].
        sensitivity: Measure what int8 costs each layer.
        ap_tolerance: How far AP may change; null allows .001 for fp32, .005 for fp16, .02 for int8.
        split: The split that the certificate measures AP on.
        image_size: Height and width that images are resized to fit into, such as [320,416], or one
            number for both; sets the size in every transform. Null takes a fixed `size`, or keeps
            each page's sizes.
        plugins: Modules or Python files that register parts.
    """

    model: Annotated[object, Slot("detector", "one_stage")]
    data: Annotated[object, Block("detkit.data.detection_data:DetectionData")]
    augmentation: Annotated[object, Block("detkit.config.blocks:Augmentation")]
    metric: Annotated[object, Slot("metric", "coco")]
    exporter: Annotated[object, Slot("exporter", "onnx")]
    ckpt: str
    output: str | None = None
    nms: bool = True
    size: Literal["dynamic"] | ImageSize = "dynamic"
    batch: Literal["dynamic"] | PositiveInt = "dynamic"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    calibration: str | None = None
    calibration_images: PositiveInt = 128
    keep_float: list[str] = field(default_factory=list)
    sensitivity: bool = False
    ap_tolerance: Fraction | None = None
    split: str = "validation"
    image_size: ImageSize | None = None
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
    trainer: Annotated[object, Block("detkit.config.blocks:Trainer")]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    output: str | None = None
    plugins: list[str] = field(default_factory=list)
