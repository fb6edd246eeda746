"""A colour for each class, the same in every picture."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]

# The colours of Okabe and Ito (2008), which people with any colour vision can tell apart, without
# black and yellow, which vanish in dark and bright photographs; the strongest contrasts come first.
_BASE: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
)
_GOLDEN_RATIO = 0.618034  # steps of the hue that never come close to an earlier hue
_LIGHTNESSES = (0.38, 0.62, 0.5)
IGNORED_COLOUR: Colour = (205, 205, 205)
_DARK: Colour = (20, 22, 26)
_WHITE: Colour = (255, 255, 255)
_WHITE_TEXT_BELOW = 0.3  # relative luminance; white text has a contrast of 3 there, as WCAG asks


def class_colour(label: int) -> Colour:
    """The colour of a label; the first six suit colour-blind readers."""
    if label < len(_BASE):
        return _BASE[label]
    hue = (label * _GOLDEN_RATIO) % 1
    lightness = _LIGHTNESSES[label % len(_LIGHTNESSES)]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.75))
    return red, green, blue


def text_colour(background: Colour) -> Colour:
    """White if it is legible on a background, else near-black."""
    return _WHITE if luminance(background) < _WHITE_TEXT_BELOW else _DARK


def luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour, 0 (black) to 1 (white), as WCAG 2 defines it."""
    linear = [_linear(part / 255) for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
