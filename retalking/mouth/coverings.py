"""Masks and beards: a lower face that looks unlike the skin above it, which no edit keeps whole."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from retalking.ibug68 import LEFT_EYE, RIGHT_EYE
from retalking.media.colors import Part
from retalking.media.source import Source
from retalking.types import (
    BoolArray,
    Float64Array,
    IntArray,
    UInt8Array,
    VideoAnalysis,
    describe_frames,
)

logger = logging.getLogger(__name__)

_PATCH = 0.06  # half a side, in distances between the eyes
_TINT, _DARKER = 19.0, 27.0
"""Of CIELAB: 85 faces without a mask differed by up to 15 and 21, painted blue ones by more."""
_FEWEST = 3  # frames: a shadow may pass
_LOOKED_AT = 60  # frames of a video, where nobody else reads its faces
_MARGIN = 0.1  # around a face, of its height


def is_covered(rgb: UInt8Array, landmarks_px: NDArray[np.floating]) -> bool:
    """Compare the skin between lower lip and chin with that between the eyes.

    Args:
        rgb: uint8 ``[H, W, 3]``, at least the face.
        landmarks_px: ``[68, 2]`` in it.

    Returns:
        Whether they differ in colour, or the former is much darker; false where one is not shown.
    """
    points = landmarks_px.astype(np.float64)
    eyes = np.linalg.norm(points[RIGHT_EYE].mean(axis=0) - points[LEFT_EYE].mean(axis=0))
    between_brows = points[[21, 22]].mean(axis=0)
    above = _color(rgb, [points[27], (between_brows + points[27]) / 2], _PATCH * eyes)
    chin = [points[[57, 8]], points[[59, 6]], points[[55, 10]]]
    below = _color(rgb, [pair.mean(axis=0) for pair in chin], _PATCH * eyes)
    if above is None or below is None:
        return False
    lighter, *tint = below - above
    return bool(np.hypot(*tint) > _TINT or lighter < -_DARKER)


def look_for_coverings(source: Source, analysis: VideoAnalysis) -> None:
    """Read faces spread over a video, and warn of masks and beards on them.

    Args:
        source: the video.
        analysis: of it.
    """
    seen = np.flatnonzero(analysis.track.detected)
    frames = seen[:: -(-len(seen) // _LOOKED_AT) or 1]
    points = analysis.track.landmarks_px[frames, :, :2]
    parts = [_face_box(p, source.info.width_px, source.info.height_px) for p in points]
    pictures = source.read_parts(frames, analysis.pts, parts)
    covered = [
        is_covered(rgb, face - part[:2])
        for rgb, face, part in zip(pictures, points, parts, strict=True)
    ]
    warn_of_coverings(analysis.info.path, frames, np.array(covered, dtype=np.bool_))


def _face_box(points: NDArray[np.floating], width_px: int, height_px: int) -> Part:
    """Box around landmarks ``[68, 2]``, as far as it lies within the frame."""
    low, high, limit = points.min(axis=0), points.max(axis=0), np.array([width_px, height_px])
    room = _MARGIN * (high[1] - low[1])
    x1, y1 = np.floor(low - room).astype(int).clip(0, limit - 1).tolist()
    x2, y2 = (np.ceil(high + room).astype(int) + 1).clip((x1 + 1, y1 + 1), limit).tolist()
    return x1, y1, x2, y2


def warn_of_coverings(path: Path, frames: IntArray, covered: BoolArray) -> None:
    """Name the frames that show a mask or a beard.

    Args:
        path: of the video.
        frames: int64 ``[K]``, those that were looked at.
        covered: bool ``[K]`` of ``is_covered``.
    """
    if covered.sum() >= min(_FEWEST, len(frames)):
        shown = np.zeros(int(frames.max()) + 1, dtype=np.bool_)
        shown[frames[covered]] = True
        logger.warning(
            "%s: %d of %d frames that were looked at show a mask, a beard or deep shadow below the "
            "lips, which may smear: %s",
            path,
            covered.sum(),
            len(frames),
            describe_frames(shown),
        )


def _color(rgb: UInt8Array, places: list[Float64Array], reach_px: float) -> Float64Array | None:
    """Median of the median colours ``[3]`` of some patches, CIELAB; ``None`` if one is outside."""
    height, width = rgb.shape[:2]
    colors = []
    for place in places:
        x1, y1 = np.floor(place - reach_px).astype(int)
        x2, y2 = np.ceil(place + reach_px).astype(int) + 1
        if min(x1, y1) < 0 or x2 > width or y2 > height:
            return None
        patch = rgb[y1:y2, x1:x2].astype(np.float32) / 255
        lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        colors.append(np.median(lab, axis=0))
    middle: Float64Array = np.median(colors, axis=0).astype(np.float64)
    return middle
