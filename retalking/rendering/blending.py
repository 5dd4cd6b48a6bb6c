"""Putting a synthesised face back into its frame without touching anything else.

Everything here works on a region of interest at the frame's own resolution. Masks are float32
``[H, W]`` in [0, 1], 1 where the patch shows; pictures are ``[H, W, 3]`` in 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike

from retalking.types import BoolArray, FloatArray, UInt8Array

FULL_EFFECT = 0.25  # mask value from which the multi-band result counts fully
MIN_RING_PIXELS = 32  # fewer say nothing about colour
GAIN_RANGE = (0.8, 1.25)  # beyond, ring and patch differ in sharpness rather than in light


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
    planes = zip(cv2.split(first), cv2.split(second), strict=True)
    return _as_float(cv2.merge([_blend_planes(*pair, weights) for pair in planes]))


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
    if not (mask > 0).any():
        return region.copy()
    outside = (mask <= 0).astype(np.uint8)
    weights = _gaussian_pyramid(mask, num_levels)
    effect = np.float32(opacity) * np.minimum(mask / FULL_EFFECT, 1)
    # One colour at a time: of a face that fills 4096 x 4096 px, every copy takes 67 MB, not 200.
    shown = []
    for color in range(region.shape[2]):
        source = _as_float(cv2.extractChannel(region, color))
        content = _as_float(cv2.extractChannel(patch, color))
        cv2.copyTo(source, outside, content)
        blended = _blend_planes(content, source, weights)
        blended -= source
        blended *= effect
        blended += source
        shown.append(_to_uint8(blended))
    return cv2.merge(shown).astype(np.uint8, copy=False)


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
        float32 ``[H, W, 3]``, which may leave 0..255; a float patch that is not changed, itself.
    """
    colors = patch.astype(np.float32, copy=False)
    if np.count_nonzero(ring) < MIN_RING_PIXELS:
        return colors
    pixels = np.flatnonzero(ring)
    flat = colors.reshape(-1, 3), region.reshape(-1, 3)
    have, want = (part[pixels].astype(np.float64) for part in flat)
    spread = have.std(axis=0)
    gain = np.clip(want.std(axis=0) / np.maximum(spread, 1e-3), *GAIN_RANGE)
    gain[spread < 1e-3] = 1  # a flat ring has no contrast to match
    offset = want.mean(axis=0) - gain * have.mean(axis=0)
    # One row of numbers is computed several times faster than pixels of three.
    rows = colors.reshape(len(colors), -1)
    width = colors.shape[1]
    matched = rows * np.tile(gain.astype(np.float32), width)
    matched += np.tile(offset.astype(np.float32), width)
    return matched.reshape(colors.shape)


def _blend_planes(first: MatLike, second: MatLike, weights: list[FloatArray]) -> FloatArray:
    """Blend one colour, float32 ``[H, W]``; each level's bands are made when they are mixed."""
    bands = []
    for weight in weights[:-1]:
        coarse = cv2.pyrDown(first), cv2.pyrDown(second)
        bands.append(_mix(_detail(first, coarse[0]), _detail(second, coarse[1]), weight))
        first, second = coarse
    blended = _mix(_as_float(first), _as_float(second), weights[-1])
    while bands:
        band = bands.pop()
        band += _enlarge(blended, band)
        blended = band
    return blended


def _gaussian_pyramid(picture: FloatArray, num_levels: int) -> list[FloatArray]:
    levels = [picture]
    for _ in range(num_levels - 1):
        levels.append(_as_float(cv2.pyrDown(levels[-1])))
    return levels


def _detail(fine: MatLike, coarse: MatLike) -> FloatArray:
    """What a level of a pyramid holds beyond the next one."""
    detail = _enlarge(_as_float(coarse), fine)
    return np.subtract(fine, detail, out=detail)


def _mix(first: FloatArray, second: FloatArray, weight: FloatArray) -> FloatArray:
    """``weight * first + (1 - weight) * second`` with as few arrays as that takes."""
    mixed = weight * first
    rest = 1 - weight
    rest *= second
    mixed += rest
    return mixed


def _as_float(picture: MatLike) -> FloatArray:
    return picture.astype(np.float32, copy=False)


def _enlarge(picture: FloatArray, like: MatLike) -> FloatArray:
    enlarged = cv2.pyrUp(picture, dstsize=(like.shape[1], like.shape[0]))
    return enlarged.astype(np.float32, copy=False)


def _square(side_px: int) -> UInt8Array:
    return np.ones((side_px, side_px), dtype=np.uint8)


def _to_uint8(picture: FloatArray) -> UInt8Array:
    limited = np.clip(picture, 0, 255)
    return np.rint(limited, out=limited).astype(np.uint8)
