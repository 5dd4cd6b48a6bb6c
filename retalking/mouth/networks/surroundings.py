"""Keep what lies around a face as it is in the frame.

D-Net edits a whole crop: it also moves and blurs collar, hair and background, tints the skin, and
where the lip crop is larger than its own there is nothing at all. None of that speaks, so a
reference may show the frame itself there and have its colours. Where a face ends is told by a whole
shot, never by one frame: an outline that followed the chin would tell L-Net how far the mouth was
open. Nor is the lower face of the frame looked at for its colours.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.blocks.lower_half import EDITED_FROM
from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX
from retalking.ibug68 import CHIN_TIP, JAW
from retalking.rendering.masks import fill_hull
from retalking.types import FaceTrack, Float64Array, FloatArray, IntArray, UInt8Array

_RARE = 2  # percent of the frames whose jaw may lie further out, by mistake or for a blink of time
_ROOM = 0.04  # share of the crop's side around the jaw that still moves with it
_SLOPE = 0.015  # standard deviation of the region's edge, share of its side
REACH = 1 / 12  # standard deviation over which a tint is smoothed, share of the side
TINT_PX = 96  # a tint needs no more


def outline_face(jaws_px: NDArray[np.floating]) -> Float64Array:
    """How far out the jaw comes in any of several frames.

    Args:
        jaws_px: ``[F, 17, 2]`` in a crop that moves with the head.

    Returns:
        float64 ``[17, 2]``.
    """
    low, middle, high = np.percentile(jaws_px, (_RARE, 50, 100 - _RARE), axis=0)
    outline = high
    # Before the chin comes the right side of the face, left in the picture.
    outline[:CHIN_TIP, 0] = low[:CHIN_TIP, 0]
    outline[CHIN_TIP, 0] = middle[CHIN_TIP, 0]
    return outline


def face_region(outline_px: Float64Array, size_px: int) -> FloatArray:
    """Weight of the face in a square crop.

    Args:
        outline_px: ``[17, 2]`` of ``outline_face``.
        size_px: side of the crop.

    Returns:
        float32 ``[size_px, size_px]``, soft: 1 inside the outline and above it.
    """
    above = [(x, 0.0) for x in outline_px[[-1, 0], 0]]
    region = fill_hull(np.concatenate([outline_px, above]), size_px)
    room = 2 * round(_ROOM * size_px) + 1
    grown = cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (room, room)))
    soft = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), _SLOPE * size_px)
    return soft.astype(np.float32, copy=False)


def keep_surroundings(references: UInt8Array, faces: UInt8Array, region: FloatArray) -> UInt8Array:
    """Show the frame wherever a face never is, and take its colours for the face.

    What the two differ by around the lower face, smoothed over the crop, is the tint that is
    taken away.

    Args:
        references: uint8 ``[A, S, S, 3]``.
        faces: uint8 ``[A, S, S, 3]``, of the frames themselves.
        region: ``[S, S]`` of ``face_region``.

    Returns:
        uint8 ``[A, S, S, 3]``.
    """
    size_px = len(region)
    share, weight = tint_shares(region)
    small = (len(share), len(share))
    kept = np.empty_like(references)
    for row, (reference, face) in enumerate(zip(references, faces, strict=True)):
        excess = reference.astype(np.float32) - face
        shrunk = cv2.resize(excess, small, interpolation=cv2.INTER_AREA)
        tint = _smooth(shrunk * share[..., None]) / weight[..., None]
        large = cv2.resize(tint, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
        mixed = face + region[..., None] * (excess - large)
        kept[row] = np.rint(mixed.clip(0, 255))
    return kept


def tint_shares(region: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How much each place says about the tint, and the sum of what is near: ``[s, s]`` both."""
    size_px = len(region)
    small = (min(size_px, TINT_PX),) * 2
    known = 1 - region
    known[: round(EDITED_FROM * size_px)] = 1
    share = cv2.resize(known, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    return share, _smooth(share) + np.float32(1e-3)


def _smooth(picture: FloatArray) -> FloatArray:
    smooth = cv2.GaussianBlur(picture, (0, 0), REACH * len(picture))
    return smooth.astype(np.float32, copy=False)


class Surroundings:
    """Where the faces of a video end, shot by shot."""

    def __init__(self, track: FaceTrack, lip_crops: Float64Array) -> None:
        """Measure every shot.

        Args:
            track: of the face.
            lip_crops: float64 ``[F, 2, 3]``, frame to lip crop.
        """
        self._shot_id = track.shot_id
        self._outlines: dict[int, Float64Array] = {}
        for shot in np.unique(track.shot_id[track.detected]).tolist():
            rows = np.flatnonzero(track.detected & (track.shot_id == shot))
            jaws = track.landmarks_px[rows, JAW].astype(np.float64)
            self._outlines[shot] = outline_face(transform_points(lip_crops[rows], jaws))
        self._last: tuple[int, FloatArray] | None = None

    def keep(self, references: UInt8Array, faces: UInt8Array, source: IntArray) -> UInt8Array:
        """Apply ``keep_surroundings`` to lip crops ``[A, 384, 384, 3]`` of frames ``[A]``."""
        kept = np.empty_like(references)
        shots = self._shot_id[source]
        for shot in np.unique(shots).tolist():
            rows = shots == shot
            kept[rows] = keep_surroundings(references[rows], faces[rows], self.region(shot))
        return kept

    def region(self, shot: int) -> FloatArray:
        """Return ``face_region`` in the lip crops of a shot."""
        if self._last is None or self._last[0] != shot:
            self._last = shot, face_region(self._outlines[shot], LIP_PX)
        return self._last[1]
