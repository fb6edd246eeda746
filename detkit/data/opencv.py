"""OpenCV on one thread, for transforms and batches.

Each loader worker is a process of its own, so more threads would only compete for the same cores.
A forked worker could also wait forever for OpenCV's threads, which a fork does not copy.
"""

from __future__ import annotations

import cv2

__all__ = ["cv2"]

cv2.setNumThreads(0)
