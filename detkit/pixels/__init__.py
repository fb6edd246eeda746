"""Pixels as NumPy arrays: decoding and resizing for programs with PyTorch and without it.

Nothing here imports torch, so that exported detectors run in an environment without it.
"""
