"""Colours and textures."""

from __future__ import annotations

import colorsys
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]  # (H, W, 3) in 0..255
Colour = NDArray[np.float32]  # (3,) in 0..255
Plane = NDArray[np.float32]  # (H, W)

TEXTURES = ("flat", "gradient", "stripes", "dots", "checks", "noise")


def colour(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value in 0..1; the hue wraps around."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32) * 255


def contrasting(
    random: np.random.Generator, ground: Colour, least: float, most: float = 442.0
) -> Colour:
    """A random colour at a distance from the background within a range, or the nearest to it."""
    middle = (least + most) / 2
    best, best_miss = ground, np.inf
    # All candidates are drawn at once: a rounding difference in the pixels of another machine may
    # then change a colour, but not the number of draws and with it the rest of the picture.
    for hue, saturation, value in random.random((16, 3)):
        drawn = colour(hue, 0.25 + 0.75 * saturation, 0.25 + 0.75 * value)
        distance = float(np.linalg.norm(drawn - ground))
        if least <= distance <= most:
            return drawn
        if abs(distance - middle) < best_miss:
            best, best_miss = drawn, abs(distance - middle)
    return best


def smooth_noise(random: np.random.Generator, size: tuple[int, int], cells: int) -> Plane:
    """Smooth noise in about -1..1 with `cells` bumps across."""
    rough = random.uniform(-1, 1, (cells + 2, cells + 2)).astype(np.float32)
    image = Image.fromarray(rough).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


def textured(
    random: np.random.Generator, size: tuple[int, int], base: Colour, turn: float
) -> Pixels:
    """A patch painted with a random texture about a colour, turned by an angle in radians."""
    texture = TEXTURES[random.integers(len(TEXTURES))]
    amount = _pattern(random, texture, size, turn)[..., None]  # share of the second colour
    toward = 255.0 if base.mean() < random.uniform(70, 190) else 0.0
    second = base + (toward - base) * np.float32(random.uniform(0.2, 0.45))
    return (base * (1 - amount) + second * amount).astype(np.float32)


def _pattern(
    random: np.random.Generator, texture: str, size: tuple[int, int], turn: float
) -> Plane:
    height, width = size
    down, across = np.mgrid[:height, :width].astype(np.float32)
    along = across * math.cos(turn) + down * math.sin(turn)
    aside = down * math.cos(turn) - across * math.sin(turn)
    period = max(3.5, max(size) * random.uniform(0.14, 0.3))
    if texture == "gradient":
        return _share((along - along.min()) / max(float(np.ptp(along)), 1.0))
    if texture == "stripes":
        return _share(0.5 + 2 * np.sin(along * (2 * np.pi / period)))
    if texture == "dots":
        waves = np.cos(along * (2 * np.pi / period)) + np.cos(aside * (2 * np.pi / period))
        return _share(0.5 + 2 * (waves - 0.7))
    if texture == "checks":
        waves = np.sin(along * (np.pi / period)) * np.sin(aside * (np.pi / period))
        return _share(0.5 + 3 * waves)
    if texture == "noise":
        cells = max(2, int(max(size) / 4))
        return _share(0.5 + 0.7 * smooth_noise(random, size, cells))
    return np.zeros(size, dtype=np.float32)


def _share(values: NDArray[np.float32]) -> Plane:
    """Values cut to 0..1; steep waves become steps with soft edges."""
    share: Plane = np.clip(values, 0, 1).astype(np.float32)
    return share
