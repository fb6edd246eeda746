"""Frames of videos, cameras and streams, and videos with boxes; NumPy and PyAV, no PyTorch."""
