"""Detectors for programs: load a trained one, predict on images, measure it on data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from detkit import assembly
from detkit.api.arguments import (
    override_list,
    refuse_overrides,
    require_batch_size,
    require_score,
)
from detkit.api.checkpoint_config import compose_with
from detkit.api.evaluation import Evaluation
from detkit.api.image_inputs import ImageInput, ImageToRead, images_to_read
from detkit.api.results import Result, result_of
from detkit.assembly import Classes
from detkit.config.overrides import quoted_value
from detkit.data.collate import Collate
from detkit.data.single_image import read_image
from detkit.errors import DataError
from detkit.inference.detecting import choose_device
from detkit.inference.predictor import Prediction, Predictor, predict_images
from detkit.runs.checkpoint import Checkpoint, find_checkpoint, load_weights, read_checkpoint
from detkit.runs.score_threshold import default_threshold
from detkit.structures import Detections, Sample
from detkit.text import counted

# `predict` needs both keys; here they come as arguments.
_ARGUMENTS = ("ckpt=loaded", "source=inputs")
# Keys of the command line that are arguments in programs.
_EVALUATE_REMEDIES = {
    "ckpt": "pass the checkpoint to detkit.load",
    "device": "pass device to detkit.load",
    "output": "the program has the results and can save them",
}
_LOAD_REMEDIES = {
    **_EVALUATE_REMEDIES,
    "source": "pass the images to predict",
    "score_threshold": "pass threshold to predict",
    "batch_size": "pass batch_size to predict",
}
_LISTED = 5  # class names in a representation


def load(
    source: str | os.PathLike[str],
    *,
    device: str | torch.device = "auto",
    overrides: Sequence[str] = (),
) -> Detector:
    """Load a trained detector.

    Args:
        source: A run folder (its best checkpoint), a checkpoint file or a bundle.
        device: `auto` uses a GPU if there is one; else `cpu`, `cuda` or `cuda:1`.
        overrides: Changes of the run's settings, as `detkit predict` takes them, such as
            `["image_size=640", "model.head.postprocess.max_detections=20"]`.

    Raises:
        UserError: There is no checkpoint, it is damaged or not from detkit, the device is missing,
            or an override is wrong.

    Example:
        >>> import detkit
        >>> detector = detkit.load("runs/mine")
        >>> results = detector.predict("photos/a.png")
    """
    words = override_list(overrides)
    refuse_overrides(words, _LOAD_REMEDIES)
    checkpoint = read_checkpoint(find_checkpoint(os.fspath(source), key="source"))
    config = compose_with(checkpoint, "predict", [*_ARGUMENTS, *words])
    return Detector(checkpoint, config, device=device, overrides=words)


class Detector:
    """A trained detector, as `detkit.load` returns it.

    Threads can share one: they decode images at the same time and take turns on the device.
    Detectors share nothing with each other, and no global setting is changed.

    Args:
        checkpoint: Its weights and class names.
        config: Its checked configuration, of the root `predict`.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        overrides: Changes of the run's settings that `evaluate` applies too.

    Attributes:
        class_names: Names of all classes, in label order.
        device: Where it runs, such as `cpu` or `cuda`.
        threshold: The minimum score unless `predict` gets another: the one with the best F1 on the
            run's validation images, or 0.3 if the run measured none.
        threshold_origin: Which of the two it is, in words.

    Example:
        >>> detector.class_names[:2]
        ('circle', 'cross')
        >>> len(detector.predict(["photos/a.png", "photos/b.png"], threshold=0.5))
        2
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: Mapping[str, Any],
        *,
        device: str | torch.device = "auto",
        overrides: Sequence[str] = (),
    ) -> None:
        self._device = choose_device(device)
        self._checkpoint, self._config, self._overrides = checkpoint, config, tuple(overrides)
        self._classes = Classes(checkpoint.class_names, checkpoint.category_ids)
        self.class_names = tuple(checkpoint.class_names)
        self.device = str(self._device)
        self.threshold, self.threshold_origin = default_threshold(checkpoint.path)
        augmentation = config["augmentation"]
        self._transforms = assembly.build_transforms(augmentation, "evaluation")
        with torch.random.fork_rng(devices=()):  # the program's random numbers stay the same
            network = assembly.build_detector(config["model"], self._classes, fetch_weights=False)
        load_weights(network, checkpoint)
        collate = Collate(pad_multiple=augmentation["pad_multiple"])
        self._predictor = Predictor(network, collate=collate, device=self._device)

    def __repr__(self) -> str:
        names = ", ".join(self.class_names[:_LISTED]) + ", ..." * (len(self.class_names) > _LISTED)
        classes = counted(len(self.class_names), "class")
        return f"Detector({self._checkpoint.path}, {classes} ({names}), device={self.device!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes build the detector again: its lock cannot be copied."""
        arguments = (self._checkpoint, self._config, self.device, self._overrides)
        return _rebuilt, arguments, {"threshold": self.threshold}

    def predict(
        self,
        inputs: ImageInput | Iterable[ImageInput],
        *,
        threshold: float | None = None,
        batch_size: int = 1,
    ) -> list[Result]:
        """Detect objects in one image or in several.

        Args:
            inputs: One of these, or a list of them: a path (a folder or a pattern such as
                `photos/*.jpg` expands to its images, sorted); a NumPy array (H, W, 3) of RGB or
                (H, W) of grey values, uint8; a PIL image; a tensor (3, H, W) of RGB, uint8 or
                floating point from 0 to 1; the bytes of an image file. OpenCV reads BGR: pass
                `image[..., ::-1]`. EXIF orientation is applied, transparency is dropped.
            threshold: Minimum score, 0 to 1; None takes `self.threshold`.
            batch_size: Images per forward pass. Images that differ in size after resizing go
                through the detector separately, so that no result depends on the others.

        Returns:
            A list with one result for each image, in order; also for a single input.

        Raises:
            UserError: An input is of a wrong type, shape or range, or a path has no image.
            DataError: A file or bytes cannot be decoded.

        Example:
            >>> import numpy as np
            >>> result = detector.predict(np.zeros((96, 96, 3), np.uint8), threshold=0.9)[0]
            >>> len(result)
            0
        """
        results = []
        for result in self.stream(inputs, threshold=threshold, batch_size=batch_size):
            if isinstance(result, DataError):
                raise result
            results.append(result)
        return results

    def stream(
        self,
        inputs: ImageInput | Iterable[ImageInput],
        *,
        threshold: float | None = None,
        batch_size: int = 1,
    ) -> Iterator[Result | DataError]:
        """Detect objects in many images, one batch at a time; an unreadable image ends nothing.

        Args:
            inputs: As for `predict`. All are checked before the first one is decoded.
            threshold: As for `predict`.
            batch_size: As for `predict`.

        Returns:
            For each image, in order, its result, or the error if it cannot be decoded.

        Raises:
            UserError: An input is of a wrong type, shape or range, or a path has no image.

        Example:
            >>> for result in detector.stream("photos"):
            ...     print(result if isinstance(result, Exception) else result.path)
            photos/a.png
            photos/b.png
            photos/c.png
        """
        size = require_batch_size(batch_size)
        minimum = require_score(self.threshold if threshold is None else threshold)
        images = images_to_read(inputs)
        predictions = predict_images(self._predictor, images, self._sample, batch_size=size)
        return (
            prediction
            if isinstance(prediction, DataError)
            else self._result(image, prediction, minimum)
            for image, prediction in zip(images, predictions, strict=True)
        )

    def evaluate(
        self, data: str | os.PathLike[str] | None = None, *, overrides: Sequence[str] = ()
    ) -> dict[str, float]:
        """Measure the detector on labelled images, exactly as `detkit evaluate` does.

        Args:
            data: A data set in any format that detkit reads; None takes the run's validation split.
            overrides: Further settings, as `detkit evaluate` takes them, such as `["split=test"]`.

        Returns:
            The metrics by name.

        Raises:
            UserError: The data set cannot be read, or an override is wrong.

        Example:
            >>> metrics = detector.evaluate()
            >>> 0 <= metrics["AP50"] <= 1
            True
        """
        words = override_list(overrides)
        refuse_overrides(words, _EVALUATE_REMEDIES)
        if data is not None:
            words.append(f"data.path={quoted_value(os.fspath(data))}")
        words = ["ckpt=loaded", *self._overrides, *words]
        config = compose_with(self._checkpoint, "evaluate", words)
        with torch.random.fork_rng(devices=()):  # the program's random numbers stay the same
            return dict(Evaluation(self._checkpoint, config, device=self.device).run().numbers)

    def _sample(self, image: ImageToRead) -> Sample:
        return read_image(
            image.decode,
            image.description,
            path=str(image.path or ""),
            transforms=self._transforms,
        )

    def _result(self, image: ImageToRead, prediction: Prediction, threshold: float) -> Result:
        is_confident = prediction.detections.scores >= threshold
        detections = Detections(*(value[is_confident] for value in prediction.detections))
        size = prediction.sample.original_size
        return result_of(detections, self._classes, size, image.path, image.decode)


def _rebuilt(
    checkpoint: Checkpoint, config: Mapping[str, Any], device: str, overrides: Sequence[str]
) -> Detector:
    return Detector(checkpoint, config, device=device, overrides=overrides)
