"""Paste-back: the synthesised face goes into its frame, and only where its mask says so.

All work happens at the frame's own resolution in the box around the face, so that the cost follows
the size of the face and the rest of the frame is not even read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.alignment import invert_affine
from retalking.blending import blend_region, border_ring, match_color
from retalking.geometry import crop_bounds, shift_source, warp
from retalking.types import Float64Array, FloatArray, UInt8Array

_RING = 0.04  # width of the ring on which colours are matched, share of the region's height


@dataclass(frozen=True)
class Layer:
    """A picture in the space of some crop, and where it shows.

    Attributes:
        rgb: uint8 ``[S, S, 3]``.
        mask: float32 ``[S, S]`` in [0, 1], zero along the border.
        to_crop: float64 ``[2, 3]``, frame to crop.
    """

    rgb: UInt8Array
    mask: FloatArray
    to_crop: Float64Array


def composite(
    frame: UInt8Array,
    face: Layer,
    num_bands: int,
    overlays: tuple[Layer, ...] = (),
    opacity: float = 1.0,
) -> None:
    """Blend a face into a frame, in place.

    The face is matched to the frame's colours on the rim of its mask and blended band by band
    (paper, section 3.4). Pixels where the face's mask is zero stay bit-identical.

    Args:
        frame: uint8 ``[H, W, 3]``.
        face: what replaces the frame.
        num_bands: of the blend, see ``choose_num_levels``.
        overlays: laid over the face first, for example restored teeth; they show only where the
            face does.
        opacity: 0 leaves the frame alone, 1 shows the face fully.
    """
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = crop_bounds(face.to_crop, face.rgb.shape[0], width, height)
    region = frame[y1:y2, x1:x2]

    def place(picture: UInt8Array | FloatArray, to_crop: Float64Array) -> FloatArray:
        matrix = invert_affine(shift_source(to_crop, x1, y1))
        return warp(picture.astype(np.float32), matrix, (x2 - x1, y2 - y1))

    mask = place(face.mask, face.to_crop)
    ring = border_ring(mask, max(round(_RING * (y2 - y1)), 2))
    patch = match_color(place(face.rgb, face.to_crop), region, ring)
    for overlay in overlays:
        share = place(overlay.mask, overlay.to_crop)[..., None]
        patch += share * (place(overlay.rgb, overlay.to_crop) - patch)
    frame[y1:y2, x1:x2] = blend_region(region, patch, opacity * mask, num_bands)


def paste(frame: UInt8Array, face: Layer) -> UInt8Array:
    """Lay a face over a copy of a frame without blending bands, as input of a restorer.

    Args:
        frame: uint8 ``[H, W, 3]``.
        face: what replaces the frame.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = crop_bounds(face.to_crop, face.rgb.shape[0], width, height)
    matrix = invert_affine(shift_source(face.to_crop, x1, y1))
    size_px = (x2 - x1, y2 - y1)
    share = warp(face.mask, matrix, size_px)[..., None]
    rgb = warp(face.rgb.astype(np.float32), matrix, size_px)
    pasted = frame.copy()
    region = pasted[y1:y2, x1:x2]
    pasted[y1:y2, x1:x2] = np.rint(region + share * (rgb - region)).astype(np.uint8)
    return pasted
