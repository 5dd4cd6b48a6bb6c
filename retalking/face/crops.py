"""Where the networks look: crops that follow a face through the video.

A crop is a float64 ``[2, 3]`` matrix from frame pixels to crop pixels, so that no stage rounds a
position. ``F`` counts the frames of a video, ``T`` those of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retalking.arrays import scratch
from retalking.face.affine import Picture, invert_affine, transform_points
from retalking.face.ffhq import ffhq_quad
from retalking.face.smoothing import smooth_track
from retalking.ibug68 import NOSE_BASE, eye_centers
from retalking.types import FaceTrack, Float64Array, UInt8Array

STABILISER_PX = 256
"""Side of D-Net's picture."""
LIP_PX = 384
"""Side of E-Net's picture, of which L-Net sees a quarter."""

_ANCHOR_WINDOW = 9  # frames of the Savitzky-Golay filter over eyes and nose
_NOSE_TO_EYES = 1.45  # inverse of a frontal face's eye-to-nose distance, in eye distances

# The lip crop in eye distances about the middle of the eyes. It covers what upstream's S3FD box
# covers, forehead to chin, cheek to cheek; the half that is inpainted begins at the nose tip.
_LEFT, _RIGHT, _TOP, _BOTTOM = -1.2, 1.2, -0.8, 1.93
_PADS_FACE_PX = 200.0


@dataclass(frozen=True)
class Pads:
    """Room around the face box of the lip crop, in pixels of a face 200 px high.

    Upstream's ``--pads`` are pixels of the frame, whatever the size of the face; tied to the face
    they mean the same at every resolution.
    """

    top: float = 0.0
    bottom: float = 20.0
    left: float = 0.0
    right: float = 0.0


def stabiliser_crops(track: FaceTrack, frames_per_s: float) -> Float64Array:
    """Upright square crops with the extent of the FFHQ crop, for D-Net.

    Upstream cuts every frame with the box of the first one, which a moving head leaves. Here the
    box follows a moving average over one second, and stays where it is while the head does.

    Args:
        track: of the whole video; frames without a face keep a crop of no meaning.
        frames_per_s: of the video.

    Returns:
        float64 ``[F, 2, 3]``, frame to 256 px.
    """
    boxes = np.zeros((len(track), 3), dtype=np.float32)
    seen = np.flatnonzero(track.detected)
    for rows in scratch.blocks(len(seen)):
        quads = ffhq_quad(track.landmarks_px[seen[rows]])
        low, high = quads.min(axis=1), quads.max(axis=1)
        sides = np.maximum((high - low).max(axis=1, keepdims=True), 1.0)
        boxes[seen[rows]] = np.concatenate([(low + high) / 2, np.log(sides)], axis=1)
    window = 2 * round(frames_per_s / 2) + 1
    boxes = smooth_track(boxes, track.detected, track.shot_id, window, order=0)
    scale = STABILISER_PX / np.exp(boxes[:, 2].astype(np.float64))
    crops = scratch.zeros((len(track), 2, 3), np.float64)
    crops[:, 0, 0] = crops[:, 1, 1] = scale
    crops[:, :, 2] = (STABILISER_PX - 1) / 2 - scale[:, None] * boxes[:, :2]
    return crops


def lip_anchors(landmarks_px: NDArray[np.floating]) -> Float64Array:
    """Eye centres and the base of the nose, which speech does not move (paper, section 3.1).

    Args:
        landmarks_px: ``[..., 68, 2]``.

    Returns:
        float64 ``[..., 3, 2]``.
    """
    points = np.asarray(landmarks_px, dtype=np.float64)
    nose = points[..., NOSE_BASE, :].mean(axis=-2)
    return np.stack([*eye_centers(points), nose], axis=-2)


def smooth_anchors(track: FaceTrack) -> Float64Array:
    """Anchors of a track after a Savitzky-Golay filter over time (paper, section 3.1).

    Returns:
        float64 ``[F, 3, 2]``.
    """
    anchors = anchors_of(track).astype(np.float32)
    smooth = smooth_track(anchors, track.detected, track.shot_id, _ANCHOR_WINDOW)
    return scratch.keep(smooth.astype(np.float64))


def anchors_of(track: FaceTrack) -> Float64Array:
    """Anchors of a track as they are: float64 ``[F, 3, 2]``."""
    anchors = scratch.zeros((len(track), 3, 2), np.float64)
    for rows in scratch.blocks(len(track)):
        anchors[rows] = lip_anchors(track.landmarks_px[rows])
    return anchors


def lip_crops(anchors_px: Float64Array, pads: Pads | None = None) -> Float64Array:
    """Crops that put the eyes of every face on the same level, for L-Net and E-Net.

    The width of a head in profile is judged by the distance of nose and eyes, which a turn of the
    head leaves alone. Width and height are scaled apart, as upstream squeezes its box to a square.

    Args:
        anchors_px: ``[..., 3, 2]`` of ``lip_anchors``.
        pads: room around the face.

    Returns:
        float64 ``[..., 2, 3]``, frame to 384 px.
    """
    left, right, top, bottom = _lip_extent(pads or Pads())
    eyes = anchors_px[..., :2, :].mean(axis=-2)
    across = anchors_px[..., 1, :] - anchors_px[..., 0, :]
    down = anchors_px[..., 2, :] - eyes
    # Of the two directions, the line through the eyes tilts with a turned head as the one from eyes
    # to nose does with the opposite sign; their sum tilts least.
    upright = across + np.stack([down[..., 1], -down[..., 0]], axis=-1)
    upright /= np.maximum(np.linalg.norm(upright, axis=-1, keepdims=True), 1e-6)
    size = np.maximum(
        np.linalg.norm(across, axis=-1), _NOSE_TO_EYES * np.linalg.norm(down, axis=-1)
    )
    size = np.maximum(size, 1e-3)[..., None, None]
    cos, sin = upright[..., 0], upright[..., 1]
    rotation = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=-2)
    stretch = np.array([LIP_PX / (right - left), LIP_PX / (bottom - top)])
    linear = rotation / size * stretch[:, None]
    shift = -np.array([left, top]) * stretch - 0.5 - np.einsum("...ij,...j->...i", linear, eyes)
    return np.concatenate([linear, shift[..., None]], axis=-1)


def lip_crops_of(anchors_px: Float64Array, pads: Pads) -> Float64Array:
    """Lip crops ``[F, 2, 3]`` of a whole video with anchors ``[F, 3, 2]``; see ``lip_crops``."""
    crops = scratch.zeros((len(anchors_px), 2, 3), np.float64)
    for rows in scratch.blocks(len(crops)):
        crops[rows] = lip_crops(anchors_px[rows], pads)
    return crops


def _lip_extent(pads: Pads) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the lip crop in eye distances about the middle of the eyes."""
    per_px = (_BOTTOM - _TOP) / _PADS_FACE_PX
    left, right = _LEFT - pads.left * per_px, _RIGHT + pads.right * per_px
    return left, right, _TOP - pads.top * per_px, _BOTTOM + pads.bottom * per_px


def lip_stretch(pads: Pads) -> float:
    """Pixels that a length takes across in the lip crop, over those that it takes down."""
    left, right, top, bottom = _lip_extent(pads)
    return (bottom - top) / (right - left)


def enlarge_crops(to_crop: Float64Array, factor: int) -> Float64Array:
    """Let crops ``[..., 2, 3]`` have more pixels of the same part of the picture."""
    enlarged = to_crop * factor
    enlarged[..., 2] += (factor - 1) / 2  # the corner of the first pixel stays where it is
    return enlarged


def cut(image: UInt8Array, to_crop: Float64Array, size_px: int) -> UInt8Array:
    """Cut a crop out of a picture; beyond its border the edge is repeated.

    Args:
        image: uint8 ``[H, W, 3]``.
        to_crop: ``[2, 3]``, picture to crop.
        size_px: side of the crop.

    Returns:
        uint8 ``[size_px, size_px, 3]``.
    """
    x1, y1, x2, y2 = crop_bounds(to_crop, size_px, image.shape[1], image.shape[0])
    return cut_from_part(image[y1:y2, x1:x2], (x1, y1), to_crop, size_px)


def cut_from_part(
    part: UInt8Array, origin_px: tuple[int, int], to_crop: Float64Array, size_px: int
) -> UInt8Array:
    """``cut`` where no more of the picture is there than the part that ``crop_bounds`` names.

    Args:
        part: uint8 ``[h, w, 3]``.
        origin_px: x and y of its first pixel in the picture.
        to_crop: ``[2, 3]``, picture to crop.
        size_px: side of the crop.
    """
    matrix = shift_source(to_crop, *origin_px)
    crop = warp(part, matrix, (size_px, size_px), cv2.BORDER_REPLICATE)
    return crop.astype(np.uint8, copy=False)


def warp(
    image: Picture,
    matrix: Float64Array,
    size_px: tuple[int, int],
    border: int = cv2.BORDER_CONSTANT,
) -> Picture:
    """Resample a picture; one that shrinks by two or more is averaged first, so nothing aliases.

    Args:
        image: uint8 or float32 ``[H, W]`` or ``[H, W, 3]``.
        matrix: ``[2, 3]``, picture to result.
        size_px: width and height of the result.
        border: OpenCV's name for what lies beyond the picture; zero by default.

    Returns:
        ``[height, width]`` or ``[height, width, 3]`` of the same type.
    """
    height, width = image.shape[:2]
    # Pixels of the picture per pixel of the result, along the denser axis.
    shrink = int(1 / np.sqrt((matrix[:, :2] ** 2).sum(axis=1)).max())
    if shrink >= 2:
        small = (max(width // shrink, 1), max(height // shrink, 1))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(image.dtype)
        ratio = np.array([width / small[0], height / small[1]])
        offset = matrix[:, :2] @ (ratio / 2 - 0.5)
        matrix = np.column_stack([matrix[:, :2] * ratio, matrix[:, 2] + offset])
    warped = cv2.warpAffine(image, matrix, size_px, flags=cv2.INTER_LINEAR, borderMode=border)
    return warped.astype(image.dtype, copy=False)


def shift_source(matrix: Float64Array, x_px: int, y_px: int) -> Float64Array:
    """Transform for a part of the picture that begins at ``(x_px, y_px)``."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (x_px, y_px)])


def crop_bounds(
    to_crop: Float64Array,
    size_px: int | tuple[int, int],
    width_px: int,
    height_px: int,
    margin_px: int = 2,
) -> tuple[int, int, int, int]:
    """Box of the picture that holds a crop: x1, y1, x2, y2, never empty, within the picture.

    Args:
        to_crop: ``[2, 3]``, picture to crop.
        size_px: side of the crop, or its width and height.
        width_px: of the picture.
        height_px: of the picture.
        margin_px: room around the crop.
    """
    across, down = (size_px, size_px) if isinstance(size_px, int) else size_px
    corners = np.array([(0, 0), (across, 0), (0, down), (across, down)]) - 0.5
    reach = transform_points(invert_affine(to_crop), corners)
    low = np.floor(reach.min(axis=0)).astype(int) - margin_px
    high = np.ceil(reach.max(axis=0)).astype(int) + 1 + margin_px
    x1, y1 = np.clip(low, 0, (width_px - 1, height_px - 1)).tolist()
    x2, y2 = np.clip(high, (x1 + 1, y1 + 1), (width_px, height_px)).tolist()
    return x1, y1, x2, y2
