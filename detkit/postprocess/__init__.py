"""Candidates to detections."""

from detkit.postprocess.nms import NMS

__all__ = ["NMS"]
