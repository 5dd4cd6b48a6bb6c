"""Upper teeth, tongue and darkness by formulas: as sharp as the picture.

What is drawn hangs from the upper lip in sizes of the head, and is lit like the skin around the
lips.
"""

from __future__ import annotations

import numpy as np

from retalking.mouth.warp.lip_window import Gap
from retalking.types import Float64Array, FloatArray

_TEETH_HEIGHT = 0.085  # in shape units
_TEETH_WIDTH = 0.78  # of the mouth's
_TOOTH_EDGES = (0.0, 0.21, 0.4, 0.56, 0.7)  # in half widths of the mouth
_TEETH = np.array([1.36, 1.28, 1.2])  # colours in luminances of the skin
_TEETH_TINT = 0.25  # of the skin's colour that teeth reflect
_SHADE = np.array([0.92, 1.06, 1.08])  # exponents: what lips shade is red
_DARK = np.array([0.26, 0.13, 0.12])
_TONGUE = np.array([0.72, 0.38, 0.37])
_TONGUE_HEIGHT = 0.13  # in shape units


def draw_inside(gap: Gap, length_px: float, unit_px: float, skin: Float64Array) -> FloatArray:
    """Draw the inside of a mouth.

    Args:
        gap: pixels to draw.
        length_px: between the corners of the lips.
        unit_px: pixels per shape unit.
        skin: ``[3]``, mean colour of the skin, 0..255.

    Returns:
        float32 ``[h, w, 3]`` in 0..255.
    """
    light = float(skin.mean())
    aside = np.abs(2 * gap.across / length_px - 1)
    below, height = gap.below_upper / unit_px, gap.height / unit_px
    pixel = 1 / unit_px
    depth = np.clip(below / np.maximum(height, 1e-3), 0, 1)
    color = _DARK * (0.7 + 0.6 * depth)[..., None]

    tongue_top = height - _TONGUE_HEIGHT * (1 - 0.7 * aside**2)
    tongue = _ramp((below - tongue_top) / 0.04) * _ramp((0.85 - aside) / 0.2)
    color = _over(color, _TONGUE * (0.75 + 0.25 * depth)[..., None], tongue)

    spacing = np.array(_TOOTH_EDGES)
    tooth = np.clip(np.searchsorted(spacing, aside, side="right") - 1, 0, len(spacing) - 2)
    start, end = spacing[tooth], spacing[tooth + 1]
    across = np.clip((aside - start) / (end - start), 0, 1)  # within the tooth
    rounded = np.sqrt(np.clip(1 - (2 * across - 1) ** 4, 0, 1))
    edge = _TEETH_HEIGHT * (1 - 0.35 * aside**2) * (0.9 + 0.1 * rounded)
    teeth = _ramp((edge - below) / max(1.5 * pixel, 0.006) + 0.5)
    teeth *= _ramp((_TEETH_WIDTH - aside) / 0.12)
    between = np.exp(-((np.minimum(across, 1 - across) * (end - start) / 0.02) ** 2))
    shade = (
        np.maximum(1 - 0.5 * aside**2, 0) * (0.7 + 0.3 * _ramp(below / 0.06)) * (1 - 0.1 * between)
    )
    white = _TEETH * (1 + _TEETH_TINT * (skin / max(light, 1.0) - 1))
    color = _over(color, white * shade[..., None] ** _SHADE, teeth)
    return (light * color).clip(0, 255).astype(np.float32)


def _over(below: Float64Array, above: Float64Array, share: Float64Array) -> Float64Array:
    return below + share[..., None] * (above - below)


def _ramp(value: Float64Array) -> Float64Array:
    found: Float64Array = np.clip(value, 0, 1)
    return found
