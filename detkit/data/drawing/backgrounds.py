"""Backgrounds, and strokes that are not objects."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from detkit.data.drawing.outlines import Mask
from detkit.data.drawing.paint import Pixels, colour, contrasting, smooth_noise

STROKES = ("line", "curve", "arc", "bar", "ellipse", "corner", "speck")
_SUPERSAMPLING = 2


def ground(random: np.random.Generator, size: int, clutter: float) -> Pixels:
    """A background: two or three colours mixed by gradients and smooth noise, with soft blobs."""
    hue, bright = random.random(), random.uniform(0.2, 0.95)
    colours = [
        colour(
            hue + random.normal(0, 0.08),
            random.uniform(0.05, 0.55),
            np.clip(bright + random.uniform(-0.2, 0.2), 0.08, 1),
        )
        for _ in range(3)
    ]
    turn = random.uniform(0, 2 * np.pi)
    down, across = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    slope = across * math.cos(turn) + down * math.sin(turn)
    if random.random() < 0.3:  # noqa: PLR2004 - a share of round gradients
        slope = np.hypot(across - random.uniform(-0.4, 0.4), down - random.uniform(-0.4, 0.4)) - 0.4
    rough = sum(
        smooth_noise(random, (size, size), cells) * strength
        for cells, strength in ((3, 0.5), (7, 0.3), (18, 0.2 * clutter), (45, 0.15 * clutter))
    )
    first = np.clip(0.5 + slope + rough * 0.5, 0, 1)[..., None]
    second = np.clip(smooth_noise(random, (size, size), 4) - 0.1, 0, 1)[..., None]
    pixels = colours[0] * (1 - first) + colours[1] * first
    pixels = pixels * (1 - second) + colours[2] * second
    for _ in range(random.poisson(4 * clutter)):
        pixels = _blob(random, pixels, down, across)
    return np.asarray(pixels, dtype=np.float32)


def _blob(random: np.random.Generator, pixels: Pixels, down: Pixels, across: Pixels) -> Pixels:
    """A soft patch of light or shade."""
    x, y = random.uniform(-0.5, 0.5, 2)
    width = random.uniform(0.03, 0.14)
    share = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * width**2))[..., None]
    toward = contrasting(random, pixels.mean(axis=(0, 1)), 30, 140)
    changed = pixels + (toward - pixels) * share * random.uniform(0.3, 0.8)
    return np.asarray(changed, dtype=np.float32)


def strokes(
    random: np.random.Generator, pixels: Pixels, count: int, thick: float = 1.0
) -> tuple[Pixels, Mask]:
    """The picture with strokes on it, and the share of each pixel that they cover."""
    size = len(pixels)
    if count == 0:
        return pixels, np.zeros((size, size), dtype=np.float32)
    canvas = Image.new("RGBA", (size * _SUPERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    mean = pixels.mean(axis=(0, 1))
    for _ in range(count):
        shade = contrasting(random, mean, 25, 200)
        opacity = random.integers(120, 256)
        _stroke(random, draw, canvas.width, (*shade.astype(int).tolist(), int(opacity)), thick)
    layer = np.asarray(canvas.reduce(_SUPERSAMPLING), dtype=np.float32)
    alpha = layer[..., 3:] / np.float32(255)
    return pixels * (1 - alpha) + layer[..., :3] * alpha, alpha[..., 0]


def _stroke(
    random: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    size: int,
    ink: tuple[int, ...],
    thick: float,
) -> None:
    kind = STROKES[random.integers(len(STROKES))]
    width = max(1, round(size * random.uniform(0.004, 0.016) * thick))
    x, y = random.uniform(0, size, 2)
    reach = size * random.uniform(0.05, 0.22)
    turn = random.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    aside = np.array([-along[1], along[0]])
    here = np.array([x, y])
    if kind == "line":
        draw.line([*(here - along * reach * 2), *(here + along * reach * 2)], ink, width)
    elif kind == "curve":
        steps = np.linspace(-1, 1, 24)[:, None]
        wave = np.sin(steps * random.uniform(2, 7) + turn) * reach * 0.35
        path = here + along * reach * 1.5 * steps + aside * wave
        draw.line([tuple(point) for point in path], ink, width, joint="curve")
    elif kind == "arc":
        start = np.degrees(turn)
        box = [x - reach, y - reach, x + reach, y + reach]
        draw.arc(box, start, start + random.uniform(50, 150), ink, width + 1)
    elif kind == "speck":
        radius = size * random.uniform(0.004, 0.012)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], ink)
    elif kind == "corner":
        points = [here + along * reach, here, here + aside * reach * random.uniform(0.5, 1)]
        draw.line([tuple(point) for point in points], ink, width)
    else:  # a bar or an ellipse three to five times as long as wide: neither square nor circle
        slim = aside * reach / random.uniform(3, 5)
        if kind == "bar":
            corners = [along * reach + slim, along * reach - slim]
            points = [here + corner for corner in (*corners, -corners[0], -corners[1])]
        else:
            angles = np.linspace(0, 2 * np.pi, 32)[:, None]
            points = list(here + np.cos(angles) * along * reach + np.sin(angles) * slim)
        draw.polygon([tuple(point) for point in points], ink)
