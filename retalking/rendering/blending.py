"""Putting a synthesised face back into its frame without touching anything else.

Everything here works on a region of interest at the frame's own resolution. Masks are float32
``[H, W]`` in [0, 1], 1 where the patch shows; pictures are ``[H, W, 3]`` in 0..255.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from retalking.types import BoolArray, FloatArray, UInt8Array

_FULL_EFFECT = 0.25  # mask value from which the multi-band result counts fully
_MIN_RING_PIXELS = 32  # fewer say nothing about colour
_GAIN_RANGE = (0.8, 1.25)  # beyond, ring and patch differ in sharpness rather than in light


def laplacian_blend(
    first: UInt8Array | FloatArray,
    second: UInt8Array | FloatArray,
    mask: FloatArray,
    num_levels: int,
) -> FloatArray:
    """Blend two pictures band by band (Burt and Adelson 1983; paper, section 3.4).

    Upstream's numerics: uint8 pictures are rounded at every level of their Gaussian pyramid, float
    ones are not; the bottom is level ``num_levels - 1``.

    Args:
        first: uint8 or float32 ``[H, W, 3]``, shown where the mask is 1.
        second: same shape, shown where the mask is 0.
        mask: float32 ``[H, W]`` in [0, 1].
        num_levels: bands, at least 1; a picture that has shrunk to one pixel adds nothing more.

    Returns:
        float32 ``[H, W, 3]``, which may leave 0..255.
    """
    weights = _gaussian_pyramid(mask, num_levels)
    bands = [
        _mix(a, b, _for_each_color(weight))
        for weight, a, b in zip(
            weights,
            _laplacian_pyramid(first, num_levels),
            _laplacian_pyramid(second, num_levels),
            strict=True,
        )
    ]
    blended = bands.pop()
    while bands:
        band = bands.pop()
        blended = _enlarge(blended, band)
        blended += band
    return blended


def blend_region(
    region: UInt8Array,
    patch: UInt8Array | FloatArray,
    mask: FloatArray,
    num_levels: int = 6,
    opacity: float = 1.0,
) -> UInt8Array:
    """Blend a patch into a region of the frame.

    A multi-band blend spreads beyond its mask, so its effect fades out where the mask falls from a
    quarter to zero. What the patch holds outside the mask is never looked at.

    Args:
        region: uint8 ``[H, W, 3]``.
        patch: uint8 or float32 ``[H, W, 3]`` in 0..255.
        mask: float32 ``[H, W]`` in [0, 1]; make it soft, or its edge stays visible.
        num_levels: bands of the blend, see ``choose_num_levels``.
        opacity: share of the change that is made, 0..1.

    Returns:
        uint8 ``[H, W, 3]``, rounded, bit-identical to the region where the mask is 0.
    """
    support = mask > 0
    if not support.any():
        return region.copy()
    source = region.astype(np.float32)
    content = source.copy()
    cv2.copyTo(patch.astype(np.float32, copy=False), support.astype(np.uint8), content)
    blended = laplacian_blend(content, source, mask, num_levels)
    effect = np.float32(opacity) * np.minimum(mask / _FULL_EFFECT, 1)
    blended -= source
    blended *= _for_each_color(effect)
    blended += source
    return _to_uint8(blended)


def choose_num_levels(face_px: float) -> int:
    """Bands whose coarsest spans an eighth of the face: 6 for 256 px, 7 for 512 px.

    Wider bands would carry the colours of the surroundings into the middle of the face. Choose once
    per person, not per frame: a change of bands shows as a flicker.
    """
    return max(1 + int(np.log2(max(face_px, 1) / 8)), 1)


def border_ring(mask: FloatArray, width_px: int) -> BoolArray:
    """Pixels of the mask's support within ``width_px`` of its edge: bool ``[H, W]``."""
    support = (mask > 0).astype(np.uint8)
    # Outside the picture counts as support: the frame's border is no border of the face.
    core = cv2.erode(
        support, _square(2 * width_px + 1), borderType=cv2.BORDER_CONSTANT, borderValue=1
    )
    return (support > 0) & (core == 0)


def match_color(patch: UInt8Array | FloatArray, region: UInt8Array, ring: BoolArray) -> FloatArray:
    """Give a patch the colour statistics that the region has on a ring where both show skin.

    Per channel, mean and standard deviation over the ring become those of the region by one gain
    and offset. The gain is limited to 0.8 .. 1.25; a ring below 32 pixels changes nothing.

    Args:
        patch: uint8 or float32 ``[H, W, 3]`` in 0..255.
        region: uint8 ``[H, W, 3]``.
        ring: bool ``[H, W]``, see ``border_ring``.

    Returns:
        float32 ``[H, W, 3]``, which may leave 0..255.
    """
    colors = patch.astype(np.float32)
    if np.count_nonzero(ring) < _MIN_RING_PIXELS:
        return colors
    pixels = np.flatnonzero(ring)
    flat = colors.reshape(-1, 3), region.reshape(-1, 3)
    have, want = (part[pixels].astype(np.float64) for part in flat)
    spread = have.std(axis=0)
    gain = np.clip(want.std(axis=0) / np.maximum(spread, 1e-3), *_GAIN_RANGE)
    gain[spread < 1e-3] = 1  # a flat ring has no contrast to match
    offset = want.mean(axis=0) - gain * have.mean(axis=0)
    # One row of numbers is computed several times faster than pixels of three.
    rows = colors.reshape(len(colors), -1)
    width = colors.shape[1]
    matched = rows * np.tile(gain.astype(np.float32), width)
    matched += np.tile(offset.astype(np.float32), width)
    return matched.reshape(colors.shape)


def _gaussian_pyramid(picture: UInt8Array | FloatArray, num_levels: int) -> list[FloatArray]:
    levels: list[cv2.typing.MatLike] = [picture]
    for _ in range(num_levels - 1):
        levels.append(cv2.pyrDown(levels[-1]))
    return [level.astype(np.float32, copy=False) for level in levels]


def _laplacian_pyramid(picture: UInt8Array | FloatArray, num_levels: int) -> list[FloatArray]:
    levels = _gaussian_pyramid(picture, num_levels)
    details = [_enlarge(coarse, fine) for fine, coarse in pairwise(levels)]
    for fine, detail in zip(levels, details, strict=False):
        np.subtract(fine, detail, out=detail)
    return [*details, levels[-1]]


def _mix(first: FloatArray, second: FloatArray, weight: FloatArray) -> FloatArray:
    """``weight * first + (1 - weight) * second`` with as few arrays as that takes."""
    mixed = weight * first
    rest = 1 - weight
    rest *= second
    mixed += rest
    return mixed


def _enlarge(picture: FloatArray, like: FloatArray) -> FloatArray:
    enlarged = cv2.pyrUp(picture, dstsize=(like.shape[1], like.shape[0]))
    return enlarged.astype(np.float32, copy=False)


def _for_each_color(weights: FloatArray) -> FloatArray:
    """Repeat ``[H, W]`` as ``[H, W, 3]``, which is faster than letting NumPy do so on its way."""
    return cv2.merge([weights] * 3).astype(np.float32, copy=False)


def _square(side_px: int) -> UInt8Array:
    return np.ones((side_px, side_px), dtype=np.uint8)


def _to_uint8(picture: FloatArray) -> UInt8Array:
    limited = np.clip(picture, 0, 255)
    return np.rint(limited, out=limited).astype(np.uint8)
