"""The detector of a run or checkpoint, which PyTorch runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from detkit import assembly
from detkit.api.checkpoint_config import compose_with
from detkit.api.evaluation import evaluation_of, require_value_range
from detkit.api.image_inputs import DecodeJPEG, ImageToRead
from detkit.api.tiled_evaluation import refuse_training_tiles
from detkit.api.view_evaluation import backend_evaluation
from detkit.api.view_settings import configured_views
from detkit.assembly import Classes
from detkit.config.overrides import quoted_value
from detkit.data.collate import Collate
from detkit.data.configured_proposals import configured_proposals
from detkit.data.image_decoding import as_tensor, torchvision_jpeg
from detkit.data.single_image import read_image
from detkit.errors import UserError
from detkit.export.graph import largest_stride
from detkit.inference.augmented_views import AugmentedViews, require_scales, scaled_steps
from detkit.inference.detecting import choose_device
from detkit.inference.predictor import Predictor
from detkit.interfaces import Transform
from detkit.pixels.pixel_format import PixelFormat
from detkit.runs.checkpoint import Checkpoint, find_checkpoint, load_weights, read_checkpoint
from detkit.runs.score_threshold import default_threshold, measured_class_thresholds
from detkit.structures import DetectionArrays, Sample

# `predict` needs both keys; here they come as arguments.
_ARGUMENTS = ("ckpt=loaded", "source=inputs")


class RunBackend:
    """Runs the detector of a checkpoint in PyTorch; see `Backend` for its attributes.

    Args:
        checkpoint: Its weights and class names.
        config: Its checked configuration, of the root `predict`.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        overrides: Changes of the run's settings that `evaluate` applies too.
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
        self.source = str(checkpoint.path)
        self.class_names = tuple(checkpoint.class_names)
        self.category_ids = tuple(checkpoint.category_ids)
        self.decode_jpeg: DecodeJPEG | None = torchvision_jpeg
        self.pixels = PixelFormat.of(checkpoint.config)
        self.device = str(self._device)
        self.has_masks, self.has_data = assembly.needs_masks(config["model"]), True
        self.threshold, self.threshold_origin = default_threshold(checkpoint.path)
        self.class_thresholds: Mapping[str, float] | None = measured_class_thresholds(
            checkpoint.path
        )
        augmentation = config["augmentation"]
        self._transforms = assembly.build_transforms(augmentation, "evaluation")
        self._proposals = configured_proposals(config)
        classes = Classes(checkpoint.class_names, checkpoint.category_ids)
        with torch.random.fork_rng(devices=()):  # the program's random numbers stay the same
            network = assembly.build_detector(config["model"], classes, fetch_weights=False)
        load_weights(network, checkpoint)
        self.stride = largest_stride(network)
        collate = Collate(pad_multiple=augmentation["pad_multiple"])
        self._predictor = Predictor(network, collate=collate, device=self._device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes build the detector again: its lock cannot be copied."""
        rebuild = partial(RunBackend, device=self.device, overrides=self._overrides)
        return rebuild, (self._checkpoint, self._config)

    def prepare(self, image: ImageToRead) -> Sample:
        """Decode an image and apply the run's evaluation transforms."""
        return self._read(image, self._transforms)

    def prepare_scaled(self, image: ImageToRead, scale: float) -> Sample:
        """Like `prepare`, for an input `scale` times as large."""
        pixels, augmentation = image.decode(), self._config["augmentation"]
        size, multiple = pixels.shape[:2], augmentation["pad_multiple"]
        steps = scaled_steps(augmentation["evaluation"], size, scale, multiple)
        transforms = assembly.build_transforms({"evaluation": steps}, "evaluation")
        return self._read(image._replace(decode=lambda: pixels), transforms)

    def require_views(self, views: AugmentedViews) -> None:
        """Refuse views that the network cannot take.

        Raises:
            UserError: Regions or a transform fit the image as it is only.
        """
        if self._proposals is not None:
            raise UserError(
                f"tta: {self.source} takes its regions from a file, which fit no mirrored or "
                "scaled image: leave out tta."
            )
        if views.changes_size:
            require_scales(self._config["augmentation"]["evaluation"], self.source)

    def predict(self, samples: Sequence[Sample]) -> list[DetectionArrays]:
        """Detect objects in prepared images, in coordinates of the original images."""
        return [image.arrays() for image in self._predictor.predict(samples)]

    def evaluation_config(self, words: Sequence[str]) -> dict[str, Any]:
        """The checked configuration of an evaluation with these overrides."""
        overrides = ["ckpt=loaded", *self._overrides, *words]
        config = compose_with(self._checkpoint, "evaluate", overrides)
        require_value_range(self._checkpoint, config)
        refuse_training_tiles(config, self._checkpoint.config)
        return config

    def evaluate(self, data: str | None, overrides: Sequence[str]) -> dict[str, float]:
        """Measure on a data set, or on the run's own without a path."""
        path = [] if data is None else [f"data.path={quoted_value(data)}"]
        config = self.evaluation_config([*overrides, *path])
        views = configured_views(config)
        with torch.random.fork_rng(devices=()):  # the program's random numbers stay the same
            if views is None:
                evaluation = evaluation_of(self._checkpoint, config, device=self.device)
            else:
                network = RunBackend(self._checkpoint, config, device=self.device)
                evaluation = backend_evaluation(views.backend([network]), config)
            return evaluation.run().flat_numbers()

    def _read(self, image: ImageToRead, transforms: Mapping[str, Transform]) -> Sample:
        return read_image(
            lambda: as_tensor(image.decode()),
            image.description,
            path=str(image.path or ""),
            transforms=transforms,
            proposals=self._proposals,
        )


def open_run(source: str, device: str | torch.device, overrides: Sequence[str]) -> RunBackend:
    """Open a run folder, a checkpoint or a bundle; see `detkit.load`."""
    checkpoint = read_checkpoint(find_checkpoint(source, key="source"))
    config = compose_with(checkpoint, "predict", [*_ARGUMENTS, *overrides])
    return RunBackend(checkpoint, config, device=device, overrides=overrides)
