"""Resize images on the CPU."""

from __future__ import annotations

import platform

import torch
from torch import Tensor
from torch.nn import functional as F

# Elsewhere PyTorch resizes 8-bit images less precisely than floating-point ones.
RESIZES_BYTES = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or (
    platform.machine() in ("aarch64", "arm64")
)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (C, H, W), uint8 or float32, to (height, width), bilinear and antialiased.

    The same pixels in the same memory order as torchvision's `resize`, whose import takes longer
    than that of PyTorch.
    """
    if tuple(image.shape[-2:]) == size or image.numel() == 0:
        return image
    if image.is_meta:  # see geometry
        return image.new_empty((len(image), *size))
    images = image[None]
    if images.is_contiguous(memory_format=torch.channels_last):
        # With the stride of a real batch, `interpolate` returns interleaved colours, uncopied.
        images = image.as_strided(images.shape, (image.numel(), *image.stride()))
    rounds = image.dtype == torch.uint8 and not RESIZES_BYTES
    if rounds:
        images = images.float()
    resized = F.interpolate(
        images, size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
    return resized.round_().to(image.dtype) if rounds else resized
