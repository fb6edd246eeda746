"""The base class of detectors: a module with losses and detections."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.interfaces import Backbone, Losses, Neck
from detkit.ops.input_channels import widen_input
from detkit.structures import Batch, Detections, PaddedDetections

_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class DetectorModule(nn.Module):
    """A `Detector` that is also a `torch.nn.Module`, as training and inference need it.

    A plugin's detector need not derive from this class; any module with these methods works.

    Attributes:
        compiles_loss: Whether trainer.compile turns `loss` into a graph; else only the network.
    """

    compiles_loss: ClassVar[bool] = False
    _frozen: tuple[str, ...] = ()  # names of parameters
    _resting: tuple[str, ...] = ()  # names of modules, as SyncBN replaces modules

    def loss(self, batch: Batch) -> Losses:
        """The loss parts of a batch; see `Detector`."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> list[Detections]:
        """The detections of each image of a batch; see `Detector`."""
        raise NotImplementedError

    def freeze(self, parameters: Collection[str]) -> None:
        """Exclude parameters from training, by name.

        Modules without other parameters stay in evaluation mode: their norms keep their statistics,
        and their dropout is off.
        """
        trainable = {name: p for name, p in self.named_parameters() if p.requires_grad}
        self._frozen = tuple(name for name in trainable if name in parameters)
        for name in self._frozen:
            trainable[name].requires_grad_(False)
        self._resting = tuple(
            name
            for name, module in self.named_modules()
            if name and _is_within(module, name, parameters)
        )
        self.train(self.training)

    def unfreeze(self) -> None:
        """Train the parameters again that `freeze` has excluded."""
        parameters = dict(self.named_parameters())
        for name in self._frozen:
            parameters[name].requires_grad_(True)
        self._frozen = self._resting = ()
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        for name in self._resting:
            self.get_submodule(name).eval()
        return self


def _is_within(module: nn.Module, path: str, parameters: Collection[str]) -> bool:
    """Whether a module has parameters, and all of them are among these."""
    names = [name for name, _ in module.named_parameters(prefix=path)]
    return bool(names) and all(name in parameters for name in names)


class FeatureDetector(DetectorModule):
    """A detector with a backbone and a neck, which normalises images on the device."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        pixel_mean: tuple[float, ...] | None,
        pixel_std: tuple[float, ...] | None,
    ) -> None:
        """Take built parts; ImageNet's mean and deviation where None is given.

        There are as many channels as means. The backbone is changed to take them.

        The configuration replaces null before a detector is built: see
        detkit/config/derived/pixel_statistics.py.
        """
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        mean, std = pixel_mean or _IMAGENET_MEAN, pixel_std or _IMAGENET_STD
        self.register_buffer("pixel_mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        if isinstance(backbone, nn.Module):
            widen_input(backbone, len(mean))

    def features_of(self, batch: Batch) -> list[Tensor]:
        """The feature levels of a batch, whose padding has no effect."""
        images = self._normalise(batch.images)
        if has_padding(batch):
            images = clear_padding(images, batch.size_tensor)
        return self.neck(self.backbone(images))

    def features_in(self, images: Tensor) -> list[Tensor]:
        """The feature levels of images (B, C, H, W) in 0..255 without padding."""
        return self.neck(self.backbone(self._normalise(images)))

    def _normalise(self, images: Tensor) -> Tensor:
        return (images.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std


def in_original_images(result: PaddedDetections, batch: Batch) -> list[Detections]:
    """The detections of each image on the CPU, in the coordinates of the original images.

    Raises:
        UserError: A head returned something else, or its post-processor did.
    """
    if not isinstance(result, PaddedDetections):
        raise UserError(
            f"the head predicted {type(result).__name__}, expected PaddedDetections: return the "
            "padded detections of the whole batch from its `predict` and from its post-processor."
        )
    original = result.to_original(batch.to_image, batch.original_sizes)
    return original.split(batch.original_sizes)


def sizes_of(images: Tensor) -> Tensor:
    """(B, 2) height and width of images (B, C, H, W) without padding."""
    count, _, height, width = images.shape
    size = torch.stack([torch.scalar_tensor(height), torch.scalar_tensor(width)])
    return size.to(images.device).expand(count, 2)


def has_padding(batch: Batch) -> bool:
    """Whether any image is smaller than its batch; true in a graph, which has no fixed sizes."""
    size = tuple(batch.images.shape[-2:])
    return torch.compiler.is_compiling() or any(s != size for s in batch.image_sizes)


def clear_padding(images: Tensor, sizes: Tensor) -> Tensor:
    """Zero the padding right of and below each image (B, 2), so that its colour has no effect."""
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    below = rows >= sizes[:, 0, None]  # (B, H)
    beyond = columns >= sizes[:, 1, None]  # (B, W)
    return images.masked_fill((below[:, :, None] | beyond[:, None])[:, None], 0)
