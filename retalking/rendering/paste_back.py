"""Paste-back: the synthesised face goes into its frame, and only where its mask says so.

All work happens at the frame's own resolution in the box around the face, so that the cost follows
the size of the face and the rest of the frame is not even read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from retalking.face.affine import Picture, invert_affine
from retalking.face.crops import crop_bounds, shift_source, warp
from retalking.rendering.blending import blend_region, border_ring, match_color
from retalking.types import Float64Array, FloatArray, UInt8Array

RING = 0.04  # width of the ring on which colours are matched, share of the region's height


@dataclass(frozen=True)
class Layer:
    """A picture in the space of some crop, and where it shows.

    Attributes:
        rgb: uint8 ``[h, w, 3]``.
        mask: float32 ``[h, w]`` in [0, 1], zero along the border.
        to_crop: float64 ``[2, 3]``, frame to crop.
    """

    rgb: UInt8Array
    mask: FloatArray
    to_crop: Float64Array


class Mark(Protocol):
    """Something that is done to every new face before it is blended."""

    def apply(
        self,
        patch: FloatArray,
        mask: FloatArray,
        corner_px: tuple[int, int],
        number: int,
        source: int,
    ) -> None:
        """Change a face in place.

        Args:
            patch: float32 ``[h, w, 3]`` in 0..255, in pixels of the frame.
            mask: float32 ``[h, w]``, where it will show.
            corner_px: x and y of the patch in the frame.
            number: of the output frame.
            source: the frame that it shows.
        """


@dataclass(frozen=True)
class MarkedFrame:
    """A mark, and the frame it goes into: its number, and that of the source frame it shows."""

    mark: Mark
    number: int
    source: int


def composite(
    frame: UInt8Array,
    face: Layer,
    num_bands: int,
    overlays: tuple[Layer, ...] = (),
    opacity: float = 1.0,
    marked: MarkedFrame | None = None,
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
        opacity: 0 leaves the frame alone, 1 shows the face fully, between them it is linear.
        marked: what is done to the face before it is blended.
    """
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = crop_bounds(face.to_crop, face.rgb.shape[1::-1], width, height)
    region = frame[y1:y2, x1:x2]

    patch, mask = _place(face, (x1, y1, x2, y2))
    ring = border_ring(mask, max(round(RING * (y2 - y1)), 2))
    patch = match_color(patch, region, ring)
    for overlay in overlays:
        rgb, share = _place(overlay, (x1, y1, x2, y2))
        patch += share[..., None] * (rgb - patch)
    if marked is not None:
        marked.mark.apply(patch, mask, (x1, y1), marked.number, marked.source)
    frame[y1:y2, x1:x2] = blend_region(region, patch, mask, num_bands, opacity)


def paste(frame: UInt8Array, face: Layer) -> UInt8Array:
    """Lay a face over a copy of a frame without blending bands, as input of a restorer.

    Args:
        frame: uint8 ``[H, W, 3]``.
        face: what replaces the frame.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = crop_bounds(face.to_crop, face.rgb.shape[1::-1], width, height)
    rgb, share = _place(face, (x1, y1, x2, y2))
    pasted = frame.copy()
    region = pasted[y1:y2, x1:x2]
    blended = region + share[..., None] * (rgb - region)
    pasted[y1:y2, x1:x2] = np.rint(blended).astype(np.uint8)
    return pasted


def _place(layer: Layer, box_px: tuple[int, int, int, int]) -> tuple[FloatArray, FloatArray]:
    """Picture and mask of a layer in a box of the frame: float32 ``[h, w, 3]`` and ``[h, w]``."""
    x1, y1, x2, y2 = box_px
    to_box, size_px = shift_source(layer.to_crop, x1, y1), (x2 - x1, y2 - y1)
    # The mask ends at the picture's border, its colours do not: a small face would get a dark rim.
    left, top = np.rint(to_box[:, 2]).astype(int).tolist()
    height, width = layer.mask.shape
    meets = -size_px[0] < left < width and -size_px[1] < top < height
    if meets and np.array_equal(to_box, [[1, 0, left], [0, 1, top]]):  # nothing to resample
        shifted = _shift(layer.rgb, (left, top), size_px, cv2.BORDER_REPLICATE)
        return shifted.astype(np.float32), _shift(
            layer.mask, (left, top), size_px, cv2.BORDER_CONSTANT
        )
    matrix = invert_affine(to_box)
    rgb = warp(layer.rgb.astype(np.float32), matrix, size_px, cv2.BORDER_REPLICATE)
    return rgb, warp(layer.mask, matrix, size_px)


def _shift(
    picture: Picture, origin: tuple[int, int], size_px: tuple[int, int], border: int
) -> Picture:
    """The box of a picture that begins at ``origin``; where it reaches beyond, the border."""
    (left, top), (width, height) = origin, size_px
    beyond = np.maximum(
        (-top, top + height - picture.shape[0], -left, left + width - picture.shape[1]), 0
    ).tolist()
    above, below, before, behind = beyond
    inner = picture[max(top, 0) : top + height, max(left, 0) : left + width]
    if not any(beyond):
        return inner
    framed = cv2.copyMakeBorder(inner, above, below, before, behind, border)
    return framed.astype(picture.dtype, copy=False)
