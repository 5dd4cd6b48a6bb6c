"""How near the result's landmarks are to the true ones, and how alike the mouths move.

Both compare the track of the face in the result with the one in the true frames, where both see it.
"""

from __future__ import annotations

import numpy as np

from retalking.errors import FaceNotFoundError, MediaError
from retalking.face.lip_motion import correlate
from retalking.ibug68 import MOUTH, OUTER_EYE_CORNERS, lip_opening
from retalking.metrics.means import TrackMetric
from retalking.metrics.metric import Clip, Need, Quantity
from retalking.types import FaceTrack, Float64Array, FloatArray

_LEAST_MOTION = 1e-3
"""Deviation of the opening, in distances between the eyes, below which a mouth is at rest."""


class LandmarkDistance(TrackMetric):
    """LMD: mean distance of the 68 landmarks, and of the 20 of the mouth.

    Chen et al. (2018) measure pixels; here distances are divided by that of the outer corners of
    the true face's eyes, frame by frame (the normalisation of the 300-W benchmark), so that faces
    of any size count alike. The faces are not aligned: the edited face is to be where the true is.
    """

    quantities = (
        Quantity("lmd", "% of eye distance", "lower", note="68 points, outer eye corners"),
        Quantity("lmd_mouth", "% of eye distance", "lower", note="20 points of the mouth"),
    )
    needs: frozenset[Need] = frozenset({"result_track", "truth_track"})

    def measure(self, clip: Clip) -> dict[str, float]:
        """Return the means over the frames of a clip."""
        result, truth = _common_frames(clip)
        distances = landmark_distances(result[..., :2], truth[..., :2])
        mouth = distances[:, MOUTH]
        return {"lmd": 100 * float(distances.mean()), "lmd_mouth": 100 * float(mouth.mean())}


class MouthCorrelation(TrackMetric):
    """Pearson correlation over time of the mouth's opening in the result and in truth."""

    quantities = (Quantity("mouth_correlation", "", "higher"),)
    needs: frozenset[Need] = frozenset({"result_track", "truth_track"})

    def measure(self, clip: Clip) -> dict[str, float]:
        """Correlate the openings of a clip; 0 where the result's mouth is at rest."""
        result, truth = (lip_opening(points) for points in _common_frames(clip))
        if truth.std() < _LEAST_MOTION:
            raise MediaError(f"{clip.name}: the true mouth does not move; nothing to correlate")
        return {"mouth_correlation": correlate(result, truth)}


def landmark_distances(points_px: FloatArray, true_px: FloatArray) -> Float64Array:
    """Distances of landmarks ``[F, 68, 2]`` in those of the true outer eye corners, ``[F, 68]``."""
    left, right = (true_px[:, corner].astype(np.float64) for corner in OUTER_EYE_CORNERS)
    eyes = np.linalg.norm(left - right, axis=-1, keepdims=True)
    apart = np.linalg.norm(points_px.astype(np.float64) - true_px, axis=-1)
    return np.asarray(apart / np.maximum(eyes, 1e-6))


def _common_frames(clip: Clip) -> tuple[FloatArray, FloatArray]:
    """Landmarks ``[N, 68, 3]`` of the result and of the truth, of frames where both have a face.

    Depth is zero where one of them has none.
    """
    result, truth = clip.result_track, clip.truth_track
    assert result is not None
    assert truth is not None
    frames = min(len(result), len(truth))
    seen = result.detected[:frames] & truth.detected[:frames]
    if not seen.any():
        raise FaceNotFoundError(f"{clip.name}: no frame with a face in both result and truth")
    flat = result.depth_px is None or truth.depth_px is None
    return _points(result, seen, flat), _points(truth, seen, flat)


def _points(track: FaceTrack, seen: np.ndarray, flat: bool) -> FloatArray:
    rows = np.flatnonzero(seen)
    points = track.landmarks_px[rows]
    depth = np.zeros_like(points[..., 0]) if flat else np.asarray(track.depth_px)[rows]
    return np.concatenate([points, depth[..., None]], axis=-1)
