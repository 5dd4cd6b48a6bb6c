"""What happens to frames without a usable face.

``F`` counts the frames of the source.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Literal

import numpy as np

from retalking.arrays import scratch
from retalking.errors import FaceNotFoundError
from retalking.types import FaceCoefficients, FaceTrack, VideoAnalysis, describe_frames

logger = logging.getLogger(__name__)

MissingFace = Literal["passthrough", "hold", "error"]
"""Leave such frames as they are, edit where the face was last seen, or stop the job."""


def drop_profiles(
    track: FaceTrack, coefficients: FaceCoefficients, max_yaw_deg: float
) -> FaceTrack:
    """Mark frames that show the face turned by more than ``max_yaw_deg`` as undetected."""
    yaw_deg = np.abs(np.rad2deg(coefficients.angle[:, 1]))
    turned = track.detected & (yaw_deg > max_yaw_deg)
    if turned.any():
        logger.warning(
            "%d frames show the face turned by more than %g degrees and stay as they are "
            "(--max-yaw-deg): %s",
            turned.sum(),
            max_yaw_deg,
            describe_frames(turned),
        )
    return dataclasses.replace(track, detected=track.detected & ~turned)


def apply_missing_policy(analysis: VideoAnalysis, policy: MissingFace) -> VideoAnalysis:
    """Carry out the policy; under ``hold`` the held frames count as detected.

    Coefficients of frames without a face become those of the nearest with one in any case.

    Raises:
        FaceNotFoundError: no frame is usable, or one is not and the policy is ``error``.
    """
    track = analysis.track
    missing = ~track.detected
    if not missing.any():
        return analysis
    first = int(np.flatnonzero(missing)[0])
    time_s = float(analysis.time_s[first])
    if policy == "error" or missing.all():
        raise FaceNotFoundError(
            f"{analysis.info.path}: no usable face in frame {first} ({time_s:.2f} s)"
            + ("" if missing.all() else "; use --on-missing-face passthrough or hold"),
            first,
            time_s,
        )
    logger.warning(
        "%d of %d frames have no usable face (%s): %s",
        missing.sum(),
        len(track),
        "edited where their shot last shows it" if policy == "hold" else "they stay as they are",
        describe_frames(missing),
    )
    return _hold(analysis, edit=policy == "hold")


def _hold(analysis: VideoAnalysis, edit: bool) -> VideoAnalysis:
    """Copy the nearest earlier frame of the shot with a face, else the nearest later one.

    Frames that are not to be edited get its coefficients only, since the windows of frames near
    them reach into theirs.
    """
    track = analysis.track
    nearest = np.arange(len(track))
    known = track.detected.copy()
    for shot in np.unique(track.shot_id):
        frames = np.flatnonzero(track.shot_id == shot)
        seen = frames[track.detected[frames]]
        if len(seen):
            before = np.searchsorted(seen, frames, side="right") - 1
            nearest[frames] = seen[np.maximum(before, 0)]
            known[frames] = True
    coefficients = analysis.coefficients.rows(nearest)
    if not edit:
        return dataclasses.replace(analysis, coefficients=coefficients)
    crops = scratch.take(analysis.crops, nearest)
    held_track = dataclasses.replace(
        track,
        boxes_px=track.boxes_px[nearest],
        landmarks_px=scratch.take(track.landmarks_px, nearest),
        depth_px=None if track.depth_px is None else scratch.take(track.depth_px, nearest),
        detected=known,
    )
    return dataclasses.replace(analysis, track=held_track, crops=crops, coefficients=coefficients)
