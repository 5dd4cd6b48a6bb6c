"""Contact sheets of trials: the source, the speaker of the words, and the result, enlarged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retalking.evaluation.judge.cast import Trial
from retalking.evaluation.judge.judges import Sight
from retalking.evaluation.judge.mouths import (
    FACE_PX,
    MOUTH_PX,
    face_matrices,
    mouth_matrix,
    read_rgb,
)
from retalking.face.crops import cut, enlarge_crops
from retalking.review.contact_sheet import draw_contact_sheet, spread_times
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array

_COLUMNS = 8
_CELL_PX = 220


def draw_trial(trial: Trial, dub: Path, source: Sight, words: Sight, result: Sight) -> UInt8Array:
    """Draw a contact sheet.

    Args:
        trial: what was asked for.
        dub: what was made.
        source: what MediaPipe saw in the face's video.
        words: in the speaker's.
        result: in the dub.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    length_s = result.time_s[-1] + np.ptp(result.time_s[:2])
    moments_s = spread_times(length_s, _COLUMNS)
    rows = {
        "result": _cut_faces(dub, result, moments_s),
        "its mouth": _cut_mouths(dub, result, moments_s),
    }
    if trial.kind != "still":
        rows = {"source": _cut_faces(trial.face, source, moments_s)} | rows
    if trial.kind in ("cross", "still"):
        rows["lips to follow"] = _cut_mouths(trial.speaker.video, words, moments_s)
    if trial.kind == "self":
        rows["true mouth"] = _cut_mouths(trial.face, source, moments_s)
    return draw_contact_sheet(rows, moments_s, cell_width_px=_CELL_PX)


def _cut_faces(video: Path, sight: Sight, moments_s: Float64Array) -> UInt8Array:
    numbers, points = _find(sight, moments_s)
    matrices = np.concatenate([face_matrices(face[None]) for face in points])
    return _cut(video, numbers, matrices, FACE_PX)


def _cut_mouths(video: Path, sight: Sight, moments_s: Float64Array) -> UInt8Array:
    numbers, points = _find(sight, moments_s)
    matrices = enlarge_crops(np.stack([mouth_matrix(face) for face in points]), 2)
    return _cut(video, numbers, matrices, 2 * MOUTH_PX)


def _find(sight: Sight, moments_s: Float64Array) -> tuple[IntArray, FloatArray]:
    numbers = np.abs(sight.time_s[:, None] - moments_s).argmin(axis=0)
    return numbers, _spread(sight.points)[numbers]


def _cut(video: Path, numbers: IntArray, matrices: Float64Array, size_px: int) -> UInt8Array:
    wanted = dict(zip(numbers.tolist(), matrices, strict=True))
    found = {
        number: cut(frame, wanted[number], size_px)
        for number, frame in enumerate(read_rgb(video))
        if number in wanted
    }
    return np.stack([found[number] for number in numbers.tolist()])


def _spread(points: FloatArray) -> FloatArray:
    """Give frames without a face the points of the nearest frame with one."""
    known = np.flatnonzero(~np.isnan(points).any(axis=(1, 2)))
    if not len(known):
        return np.zeros_like(points)
    nearest = np.abs(np.arange(len(points))[:, None] - known).argmin(axis=1)
    return points[known[nearest]]
