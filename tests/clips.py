"""Tiny videos whose frames are known: frame n is grey of level 20 + 10 n, its top left is red."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av", reason="reading video needs PyAV: pip install av")
RATE = 25
MILLISECOND = Fraction(1, 1000)


def grey(number: int) -> int:
    return min(255, 20 + 10 * number)


def frame_of(number: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    pixels = np.full((*size, 3), grey(number), np.uint8)
    pixels[: size[0] // 4, : size[1] // 4] = (255, 0, 0)
    return pixels


def write_clip(
    path: Path,
    frames: int = 10,
    *,
    times: Sequence[int] | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    rotation: int | None = None,
    audio: bool = False,
    options: dict[str, str] | None = None,
    codec: str = "mpeg4",
) -> Path:
    """Write a video.

    Args:
        path: The file; its suffix chooses the container.
        frames: How many frames.
        times: The time of each frame in milliseconds; by default 25 frames/s.
        pictures: The frames, instead of grey ones.
        rotation: Degrees in the metadata.
        audio: Whether to add a silent second of sound.
        options: Of the container.
        codec: The encoder.
    """
    pictures = pictures or [frame_of(number) for number in range(frames)]
    times = times or [number * 1000 // RATE for number in range(len(pictures))]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE, options={"g": "5", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sound = container.add_stream("aac", rate=8000) if audio else None
        for pixels, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            mux_silence(container, sound)
    return path


def mux_silence(container: Any, stream: Any) -> None:
    """Add a second of silence."""
    silence = np.zeros((1, 8000), np.float32)
    frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 8000, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_sound(path: Path) -> Path:
    """Write a file with sound alone."""
    with av.open(str(path), "w") as container:
        mux_silence(container, container.add_stream("aac", rate=8000))
    return path


def read_clip(path: Path) -> list[tuple[float, np.ndarray]]:
    """Time and RGB pixels of each frame."""
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
