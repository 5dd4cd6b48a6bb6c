"""How upstream puts faces back, restated step by step.

Retalking composes in another way (at native resolution, inside the mask only), so these steps are
no part of it. They are here to prove the parts that both share (templates, similarity fit, band
blending) in the order of the official program, with its truncation and its squeeze to 512 px.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from retalking.face.affine import (
    FFHQ_POINTS_512,
    GPEN_POINTS_512,
    fit_similarity,
    invert_affine,
    transform_points,
)
from retalking.rendering.blending import laplacian_blend

_FACE_PX = (512, 512)


def ellipse(center_y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Stub of a parser: bool ``[512, 512]``."""
    y, x = np.mgrid[:512, :512]
    return ((x - 256) / radius_x) ** 2 + ((y - center_y) / radius_y) ** 2 < 1


def fit_ffhq(points: np.ndarray) -> np.ndarray:
    """Upstream fits with least median of squares; Retalking's five points have no outliers."""
    return cv2.estimateAffinePartial2D(points, FFHQ_POINTS_512, method=cv2.LMEDS)[0]


def crop_ffhq(frame: np.ndarray, to_face: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(frame, to_face, _FACE_PX, borderValue=(135, 133, 132))


def warp_ffhq(picture: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Warp a uint8 picture to 256 x 256 as Pillow does, and tell what lies within it.

    Pillow truncates, and keeps a pixel whose position is up to half a pixel beyond the edge.
    """
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:256, :256]
    x, y = np.moveaxis(transform_points(invert_affine(matrix), np.dstack([columns, rows])), -1, 0)
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    channels = np.moveaxis(picture.astype(np.float64), -1, 0)
    warped = [map_coordinates(channel, (y, x), order=1, mode="nearest") for channel in channels]
    return np.dstack(warped).astype(np.uint8), inside


def paste_gfpgan(frame: np.ndarray, face: np.ndarray, to_face: np.ndarray) -> np.ndarray:
    """Warp a restored face back behind a square that fades over a twentieth of its side."""
    size, back = frame.shape[1::-1], invert_affine(to_face)
    square = cv2.warpAffine(np.ones(_FACE_PX, np.float32), back, size)
    square = cv2.erode(square, np.ones((2, 2)))
    width = int(np.sqrt(square.sum())) // 20
    core = cv2.erode(square, np.ones((2 * width, 2 * width)))
    soft = cv2.GaussianBlur(core, (2 * width + 1, 2 * width + 1), 0)[..., None]
    masked = square[..., None] * cv2.warpAffine(face, back, size)
    return (soft * masked + (1 - soft) * frame).astype(np.uint8)


def blend_at_512(
    first: np.ndarray, second: np.ndarray, mask: np.ndarray, num_levels: int
) -> np.ndarray:
    """Blend after squeezing everything to 512 x 512: float32, unclipped."""
    squeezed = (cv2.resize(picture, (512, 512)) for picture in (first, second, mask))
    return laplacian_blend(*squeezed, num_levels)


def stretch(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Undo the squeeze and truncate."""
    return cv2.resize(np.clip(picture, 0, 255), like.shape[1::-1]).astype(np.uint8)


def paste_gpen(
    frame: np.ndarray, points: np.ndarray, restore: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a face out, restore it and put it back onto black.

    Returns:
        uint8 ``[H, W, 3]``, and its soft and sharp mask, float32 ``[H, W, 1]``.
    """
    to_face = fit_similarity(points, GPEN_POINTS_512)
    face = restore(cv2.warpAffine(frame, to_face, _FACE_PX))
    sharp = ellipse(280, 170, 210).astype(np.float32)
    sharp[:20] = sharp[-20:] = sharp[:, :20] = sharp[:, -20:] = 0
    soft = cv2.GaussianBlur(cv2.GaussianBlur(sharp, (101, 101), 11), (101, 101), 11)
    back, size = invert_affine(to_face), frame.shape[1::-1]
    face, soft, sharp = (cv2.warpAffine(picture, back, size) for picture in (face, soft, sharp))
    on_black = np.where(soft[..., None] > 0, face, 0)
    return on_black, soft[..., None], cv2.GaussianBlur(sharp, (0, 0), 1)[..., None]


def finish_frame(
    frame: np.ndarray, original: np.ndarray, points: np.ndarray, box: np.ndarray
) -> np.ndarray:
    """Upstream's last step: the face of ``frame``, within its box, over the original frame."""
    on_black, _, sharp = paste_gpen(frame, points, lambda face: face)
    y1, y2, x1, x2 = box
    mask = np.zeros(sharp.shape[:2], np.float32)
    mask[y1 : y2 - 5, x1:x2] = sharp[y1 : y2 - 5, x1:x2, 0]
    return stretch(blend_at_512(on_black, original, mask, 6), original)
