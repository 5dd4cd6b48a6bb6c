"""Every face of a video as the detector of the picture's mark wants to see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.face.affine import transform_points
from retalking.face.crops import lip_anchors
from retalking.face.detection import CascadeDetector
from retalking.face.follower import TrackingSettings
from retalking.face.landmarks import LiteLandmarker
from retalking.face.smoothing import smooth_track
from retalking.face.tracking import track_faces
from retalking.media.video import VideoReader
from retalking.trust.picture.cells import CellReader
from retalking.trust.picture.evidence import face_weights
from retalking.trust.picture.pattern import mark_crops
from retalking.types import FaceSegment, Float64Array, FloatArray, FrameChunk, UInt8Array

_CHUNK = 16
_MAX_GAP_S = 0.5
_ANCHOR_WINDOW = 9


@dataclass(frozen=True)
class SeenFace:
    """A face through consecutive frames.

    Attributes:
        cells: float32 ``[T, P, C]`` of ``CellReader``.
        weights: float32 ``[C]`` of ``face_weights``.
        time_s: float64 ``[T]`` from the first frame of the video.
        height_px: typical height from hairline to chin.
        portrait: uint8 ``[112, 112, 3]``.
    """

    cells: FloatArray
    weights: FloatArray
    time_s: Float64Array
    height_px: float
    portrait: UInt8Array


def see_faces(path: Path, every: int = 1, max_seconds: float | None = None) -> list[SeenFace]:
    """Find and follow all faces of a video, and look at them.

    Args:
        path: the video; decoded twice.
        every: look at every n-th frame only, which is faster and sees less.
        max_seconds: stop there.

    Returns:
        The longest first; none where no face is found.

    Raises:
        MediaError: the file has no picture that can be read.
    """
    with VideoReader(path) as reader:
        tick_s = float(reader.info.time_base)
        rate = float(reader.info.frame_rate) / every
        landmarker = LiteLandmarker.from_file()
        tracks = track_faces(
            _some(reader, every, max_seconds),
            CascadeDetector(landmarker),
            landmarker,
            rate,
            TrackingSettings(max_gap_s=_MAX_GAP_S),
        )
        time_s = (tracks.pts - tracks.pts[:1]).astype(np.float64) * tick_s
        placed = [_place(segment) for segment in tracks.segments]
        readers = [CellReader() for _ in placed]
        for chunk in _some(reader, every, max_seconds):
            for segment, to_grid, cells in zip(tracks.segments, placed, readers, strict=True):
                row = chunk.start - segment.start
                if 0 <= row < len(to_grid):
                    cells.add(chunk.rgb[0], to_grid[row], float(time_s[chunk.start]))
    faces = [
        _describe(segment, to_grid, cells.finish(), time_s[segment.start : segment.stop])
        for segment, to_grid, cells in zip(tracks.segments, placed, readers, strict=True)
    ]
    return sorted(faces, key=lambda face: len(face.time_s), reverse=True)


def _some(reader: VideoReader, every: int, max_seconds: float | None) -> Iterator[FrameChunk]:
    """Yield every n-th frame by itself, numbered from 0."""
    limit = None if max_seconds is None else max_seconds / float(reader.info.time_base)
    for number, (pts, rgb) in enumerate(_frames(reader.read_chunks(_CHUNK), every)):
        if number == 0:
            first = int(pts[0])
        if limit is not None and pts[0] - first >= limit:
            return
        yield FrameChunk(number, pts, rgb)


def _frames(chunks: Iterable[FrameChunk], every: int) -> Iterator[tuple[np.ndarray, UInt8Array]]:
    for chunk in chunks:
        for row in range(-chunk.start % every, len(chunk), every):
            yield chunk.pts[row : row + 1], chunk.rgb[row : row + 1]


def _place(segment: FaceSegment) -> Float64Array:
    """Frame to small lip crop ``[T, 2, 3]``."""
    anchors = lip_anchors(segment.points_px[..., :2]).astype(np.float32)
    everywhere = np.ones(len(anchors), dtype=np.bool_)
    one_shot = np.zeros(len(anchors), dtype=np.int64)
    smooth = smooth_track(anchors, everywhere, one_shot, _ANCHOR_WINDOW)
    return mark_crops(smooth.astype(np.float64))


def _describe(
    segment: FaceSegment, to_grid: Float64Array, cells: FloatArray, time_s: Float64Array
) -> SeenFace:
    points = segment.points_px[..., :2].astype(np.float64)
    weights = face_weights(transform_points(to_grid, points).mean(axis=0))
    heights = segment.boxes_px[:, 3] - segment.boxes_px[:, 1]
    return SeenFace(cells, weights, time_s, float(np.median(heights)), segment.portrait)
