"""Measure one result: read it, the video behind it and the speech, and hand them to metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field

from retalking.config import Schema, load_config
from retalking.errors import FaceNotFoundError, MediaError, RetalkingError
from retalking.evaluation.methods import Framing
from retalking.evaluation.pairs import Pair
from retalking.face.detection import CascadeDetector
from retalking.face.follower import TrackingSettings
from retalking.face.landmarks import LiteLandmarker
from retalking.face.tracking import select_track, track_faces
from retalking.locations import CONFIGS
from retalking.media.sound import audio
from retalking.media.source import Source
from retalking.media.video import VideoReader
from retalking.metrics.meters import Meters
from retalking.metrics.metric import Clip, Metric, Need, State
from retalking.rendering.timeline import Timeline, build_timeline
from retalking.types import (
    AudioClip,
    FaceTrack,
    Float64Array,
    IntArray,
    VideoInfo,
)

CHUNK_FRAMES = 16
SCORING_FILE = CONFIGS / "evaluation" / "scoring.yaml"


class ScoringSettings(Schema):
    """How videos are looked at."""

    max_gap_s: float = Field(ge=0)


@dataclass(frozen=True)
class View:
    """What one pass over a video gives.

    Attributes:
        info: of the video, cut to its framing.
        pts: int64 ``[F]``.
        track: of the face; ``None`` where none was looked for or seen.
    """

    info: VideoInfo
    pts: IntArray
    track: FaceTrack | None

    @property
    def time_s(self) -> Float64Array:
        """Seconds since the first frame, float64 ``[F]``."""
        return (self.pts - self.pts[0]) * float(self.info.time_base)


class Scorer:
    """Measures results with metrics that are loaded once.

    The faces are followed by our own small network, whatever made the result, so that all methods
    are measured by the same means.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = metrics
        self._views: dict[tuple[Path, Framing, bool], View] = {}

    @cached_property
    def _tracking(self) -> TrackingSettings:
        settings = load_config(ScoringSettings, SCORING_FILE)
        return TrackingSettings(max_gap_s=settings.max_gap_s)

    @cached_property
    def _faces(self) -> tuple[CascadeDetector, LiteLandmarker]:
        landmarker = LiteLandmarker.from_file()
        return CascadeDetector(landmarker), landmarker

    def applies(self, name: str, pair: Pair) -> bool:
        """Whether a metric is defined for a pair: some need the true video of the speech."""
        return pair.is_own_speech or not self.metrics[name].needs & {"truth", "truth_track"}

    def score(
        self, pair: Pair, result: Path, framing: Framing, names: Sequence[str]
    ) -> dict[str, State | RetalkingError]:
        """Measure one result.

        Args:
            pair: what it was made of.
            result: the video.
            framing: how it was made.
            names: of the metrics that are wanted.

        Returns:
            By metric: the clip's state, or why the metric is not defined for it.

        Raises:
            MediaError: a file cannot be read.
        """
        needs: set[Need] = set().union(*(self.metrics[name].needs for name in names))
        speech = _trim(audio.load(pair.audio), framing.max_seconds)
        timeline = source = None
        if needs & {"source", "truth", "source_track", "truth_track"}:
            source = self._view_source(pair, framing, bool(needs & {"source_track", "truth_track"}))
            timeline = build_timeline(
                source.pts,
                source.info.time_base,
                source.info.frame_rate,
                speech.duration_s,
                framing.length_policy,
            )
        seconds = speech.duration_s if timeline is None else timeline.duration_s
        shown = Framing(framing.length_policy, seconds, choice=framing.choice)
        view = self._look(result, shown, "result_track" in needs)
        rows = None if timeline is None else _rows_behind(view.time_s, timeline)
        source_track = None if source is None or rows is None else _take(source.track, rows)
        clip = Clip(
            name=f"{pair.name} ({pair.video.name}, {pair.audio.name})",
            frame_rate=float(view.info.frame_rate),
            speech=speech,
            result_track=view.track,
            source_track=source_track,
            truth_track=source_track if pair.is_own_speech else None,
        )
        meters = Meters({name: self.metrics[name] for name in names}, clip)
        needs_pixels = rows is not None and bool(needs & {"source", "truth"})
        with VideoReader(result) as reader:
            chunks = _open(reader, shown).read_all(CHUNK_FRAMES)
            if source is None or rows is None or not needs_pixels:
                for chunk in chunks:
                    meters.add(chunk.start, chunk.rgb, None)
            else:
                with VideoReader(pair.video) as behind:
                    video = _open(behind, framing)
                    sources = video.read_frames(rows, source.pts, CHUNK_FRAMES)
                    for chunk, other in zip(chunks, sources, strict=True):
                        meters.add(chunk.start, chunk.rgb, other.rgb)
        return meters.finish()

    def _view_source(self, pair: Pair, framing: Framing, tracked: bool) -> View:
        """One pass over the video of a pair; kept, as the methods come one after the other."""
        key = (pair.video, framing, tracked)
        if key not in self._views:
            if any(path != pair.video for path, _, _ in self._views):
                self._views.clear()
            self._views[key] = self._look(pair.video, framing, tracked)
        return self._views[key]

    def _look(self, path: Path, framing: Framing, tracked: bool) -> View:
        track = None
        with VideoReader(path) as reader:
            video = _open(reader, framing)
            chunks = video.read_all(CHUNK_FRAMES)
            if tracked:
                rate = float(video.info.frame_rate)
                tracks = track_faces(chunks, *self._faces, rate, self._tracking)
                pts = tracks.pts
                with suppress(FaceNotFoundError):
                    track = select_track(tracks, framing.choice)
            else:
                pts = np.array([pts for chunk in chunks for pts in chunk.pts], np.int64)
        if not len(pts):
            raise MediaError(f"{path}: no frame of its video can be decoded")
        return View(video.info, pts, track)


def _open(reader: VideoReader, framing: Framing) -> Source:
    max_frames = 1 if framing.static else None
    return Source(reader, framing.crop, max_frames, framing.max_seconds, framing.rotate_deg)


def _trim(speech: AudioClip, max_seconds: float | None) -> AudioClip:
    if max_seconds is None:
        return speech
    end = round(max_seconds * speech.sample_rate_hz)
    return AudioClip(speech.samples[:end], speech.sample_rate_hz)


def _rows_behind(time_s: Float64Array, timeline: Timeline) -> IntArray:
    """Return the source frame behind each frame of a result, by nearest time."""
    middles = (timeline.time_s[1:] + timeline.time_s[:-1]) / 2
    rows: IntArray = timeline.source_index[np.searchsorted(middles, time_s)]
    return rows


def _take(track: FaceTrack | None, rows: IntArray) -> FaceTrack | None:
    """Rows of a track, as a video shows them that repeats and skips frames."""
    if track is None:
        return None
    return FaceTrack(
        track.boxes_px[rows],
        track.landmarks_px[rows],
        track.confidence[rows],
        track.detected[rows],
        track.shot_id[rows],
        None if track.depth_px is None else track.depth_px[rows],
    )
