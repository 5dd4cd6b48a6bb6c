"""A look at a job before it is done: three short passages of it, dubbed one after the other.

The passages are copied, without loss, into a small video with its own speech, which is then dubbed
as any other. Mouths are lent from these passages alone, so the whole job looks a little better.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.cache_folder import make_private
from retalking.config import section_values
from retalking.face.detection import FaceDetector
from retalking.face.landmarks import Landmarker
from retalking.ibug68 import OUTER_EYE_CORNERS
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import review_dub
from retalking.inference.pipeline import Retalker
from retalking.inference.scenes import cache_folder, open_source
from retalking.inference.writing import DubbingReport, shown_as
from retalking.media.options import EncoderSection
from retalking.media.output.encoding import EncoderOptions, check_output
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound import audio
from retalking.media.sound.wav import write_clip
from retalking.media.source import Source
from retalking.progress import Watch, Watched, Wish, watching
from retalking.rendering.timeline import Timeline, build_timeline
from retalking.review.compare import draw_faces
from retalking.timings import Timings
from retalking.types import AudioClip, Float64Array, FloatArray, IntArray, UInt8Array

_SHARE, _SHORTEST_S, _LONGEST_S = 1 / 50, 0.6, 2.0
"""Length of a passage: a part of the job, so that three take less than a quarter of its time."""
_SOUND_HZ = 48_000
_GLANCE_S, _MOST_GLANCES = 0.5, 40
"""How often a video is looked at for the head that is turned most."""
_SURE = 0.5  # confidence below which the head is searched for anew


@dataclass(frozen=True)
class Passage:
    """A stretch of the output.

    Attributes:
        reason: why it was chosen.
        start_s: where it begins.
        stop_s: where it ends.
    """

    reason: str
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Preview:
    """What a preview did.

    Attributes:
        report: of the short job.
        passages: of the whole job, in the order in which they are shown.
        sheet: uint8 ``[H, W, 3]``, faces before and after, and the speech.
    """

    report: DubbingReport
    passages: tuple[Passage, ...]
    sheet: UInt8Array


def dub_preview(
    retalker: Retalker,
    face: Path,
    speech: Path,
    outfile: Path,
    progress: Watched = False,
    cancel: Wish | None = None,
    review: bool = False,
) -> Preview:
    """Dub the start, the loudest passage, and the one in which the head is turned most.

    Args:
        retalker: does it.
        face: video or still image; of an image there are two passages.
        speech: anything with an audio stream.
        outfile: where the preview goes; it appears only when it is complete.
        progress: see ``Retalker.__call__``.
        cancel: see ``Retalker.__call__``.
        review: see ``Retalker.__call__``.

    Raises:
        RetalkingError: see ``Retalker.__call__``.
    """
    config, parts = retalker.config, retalker.parts
    check_output(
        outfile, EncoderOptions(**section_values(config, [EncoderSection])), (face, speech)
    )
    seconds = config.max_seconds
    clip = audio.load(speech, _SOUND_HZ, track=config.audio_track, max_seconds=seconds)
    folder = cache_folder(config)
    make_private(folder)
    source = open_source(face, config)
    try:
        pts, seen_s, turned = _glance(source, parts.detector, parts.landmarker, config)
        timeline = build_timeline(
            pts,
            source.info.time_base,
            source.info.frame_rate,
            clip.duration_s,
            config.length_policy,
            min_rate_hz=0.0 if source.info.is_image else config.min_fps,
        )
        passages = choose_passages(clip, timeline.duration_s, seen_s, turned)
        with tempfile.TemporaryDirectory(dir=folder, prefix="preview-") as name:
            video, sound = Path(name, f"{face.stem}.mkv"), Path(name, f"{speech.stem}.wav")
            _copy_passages(source, pts, timeline, passages, video)
            write_clip(sound, _cut_sound(clip, timeline, passages))
            short = Retalker(_for_excerpt(config), parts)
            with watching(progress, cancel) as watch:
                report, sheet = _dub_excerpt(short, video, sound, outfile, watch, review)
            return Preview(report, passages, sheet)
    finally:
        source.close()


def _dub_excerpt(
    retalker: Retalker, video: Path, sound: Path, outfile: Path, watch: Watch, review: bool
) -> tuple[DubbingReport, UInt8Array]:
    """Dub the passages, and draw their sheet."""
    timings = Timings()
    with retalker.prepare(video, watch, timings) as scene:
        dub = retalker.plan(scene, sound)
        report = retalker.write(dub, outfile, watch, timings)
        if review:
            seen = review_dub(dub, outfile, retalker.parts, retalker.config, watch, timings)
            report = dataclasses.replace(report, reviews=(seen,))
        return report, draw_faces(scene, dub.plan, outfile, audio.load(sound))


def choose_passages(
    clip: AudioClip, duration_s: float, seen_s: Float64Array, turned: Float64Array
) -> tuple[Passage, ...]:
    """Choose passages that do not overlap, in the order of their time.

    Args:
        clip: the speech.
        duration_s: of the output.
        seen_s: float64 ``[K]``, moments at which the head was looked at.
        turned: float64 ``[K]``, how far it was turned then, 0 or more.

    Returns:
        One to three; a job too short for three is taken whole.
    """
    length_s = float(np.clip(_SHARE * duration_s, _SHORTEST_S, _LONGEST_S))
    if duration_s < 4 * length_s:
        return (Passage("all of it", 0.0, duration_s),)
    starts = np.arange(0.0, duration_s - length_s, length_s / 2)
    free = starts >= length_s
    found = [Passage("start", 0.0, length_s)]
    power = np.concatenate([[0.0], np.cumsum(clip.samples.astype(np.float64) ** 2)])
    edges = np.stack([starts, starts + length_s]) * clip.sample_rate_hz
    first, last = edges.astype(np.int64).clip(0, len(clip.samples))
    loud = power[last] - power[first]
    within = (seen_s >= starts[:, None]) & (seen_s < starts[:, None] + length_s)
    far = np.where(within, turned, 0.0).max(axis=1, initial=0.0)
    for reason, value in (("loudest", loud), ("head turned most", far)):
        rated = np.where(free, value, -1.0)
        best = int(rated.argmax())
        if rated[best] > 0:
            begin = float(starts[best])
            found.append(Passage(reason, begin, begin + length_s))
            free &= np.abs(starts - begin) >= length_s
    return tuple(sorted(found, key=lambda passage: passage.start_s))


def head_turn(points: FloatArray) -> float:
    """How far a head ``[68, 3]`` is turned to a side: slope of its eyes in depth, 0 or more."""
    left, right = points[OUTER_EYE_CORNERS[0]], points[OUTER_EYE_CORNERS[1]]
    across = float(np.linalg.norm((right - left)[:2]))
    return abs(float(right[2] - left[2])) / max(across, 1e-6)


def _glance(
    source: Source, detector: FaceDetector, landmarker: Landmarker, config: InferenceConfig
) -> tuple[IntArray, Float64Array, Float64Array]:
    """Read all times of a video, and look at its head now and then.

    Returns:
        int64 ``[F]`` pts; float64 ``[K]`` moments, and how far the head was turned then.
    """
    pts: list[int] = []
    seen: list[float] = []
    turned: list[float] = []
    face: FloatArray | None = None
    tick_s = float(source.info.time_base)
    length_s = (source.info.num_frames or 0) / float(source.info.frame_rate)
    every_s = max(_GLANCE_S, length_s / _MOST_GLANCES)
    for chunk in source.read_all(1):
        pts.append(int(chunk.pts[0]))
        moment_s = (pts[-1] - pts[0]) * tick_s
        if seen and moment_s - seen[-1] < every_s:
            continue
        face = _follow(chunk.rgb[0], face, detector, landmarker, config)
        seen.append(moment_s)
        turned.append(0.0 if face is None else head_turn(face))
    return np.array(pts, np.int64), np.array(seen), np.array(turned)


def _follow(
    rgb: UInt8Array,
    face: FloatArray | None,
    detector: FaceDetector,
    landmarker: Landmarker,
    config: InferenceConfig,
) -> FloatArray | None:
    """Landmarks ``[68, 3]`` of the face half a second later, or of one that is found anew."""
    if face is not None:
        points, confidence = landmarker.follow(rgb, face[None])
        if confidence[0] > _SURE:
            return points[0]
    box = _wanted_box(detector.detect(rgb), config)
    return None if box is None else landmarker.predict(rgb, box[None])[0][0]


def _wanted_box(boxes: FloatArray, config: InferenceConfig) -> FloatArray | None:
    """The largest face ``[4]``, or the one nearest to the box that was asked for."""
    if not len(boxes):
        return None
    if config.face_box is not None:
        wanted = np.array(config.face_box, np.float32)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2 - (wanted[:2] + wanted[2:]) / 2
        nearest: FloatArray = boxes[np.linalg.norm(middles, axis=1).argmin()]
        return nearest
    sides = boxes[:, 2:] - boxes[:, :2]
    largest: FloatArray = boxes[sides.prod(axis=1).argmax()]
    return largest


def _copy_passages(
    source: Source,
    pts: IntArray,
    timeline: Timeline,
    passages: tuple[Passage, ...],
    path: Path,
) -> None:
    options = EncoderOptions(codec="ffv1")
    info = dataclasses.replace(shown_as(source.info, timeline), is_image=False)
    ends = np.append(timeline.pts, timeline.end_pts)
    rows = np.concatenate([_rows(timeline, passage) for passage in passages])
    starts = np.concatenate([[0], np.cumsum(ends[rows + 1] - ends[rows])])
    with VideoWriter(path, info, options, end_pts=int(starts[-1])) as writer:
        for chunk in source.read_frames(timeline.source_index[rows], pts, 4):
            writer.write(chunk.rgb, starts[chunk.start : chunk.start + len(chunk)])


def _cut_sound(clip: AudioClip, timeline: Timeline, passages: tuple[Passage, ...]) -> AudioClip:
    """What is heard with the frames of the passages."""
    ends_s = np.append(timeline.pts, timeline.end_pts) * float(timeline.time_base)
    parts = []
    for passage in passages:
        rows = _rows(timeline, passage)
        first, last = ends_s[rows[0]], ends_s[rows[-1] + 1]
        span = slice(round(first * clip.sample_rate_hz), round(last * clip.sample_rate_hz))
        heard = clip.samples[span]
        parts.append(np.pad(heard, (0, span.stop - span.start - len(heard))))
    return AudioClip(np.concatenate(parts), clip.sample_rate_hz)


def _rows(timeline: Timeline, passage: Passage) -> IntArray:
    """Frames of a passage: int64, at least one."""
    first, last = np.searchsorted(timeline.time_s, [passage.start_s, passage.stop_s])
    return np.arange(first, max(last, first + 1)).clip(0, len(timeline) - 1)


def _for_excerpt(config: InferenceConfig) -> InferenceConfig:
    """The configuration for a video that is cut out already, and plays as long as its speech."""
    whole = {"crop": (0, -1, 0, -1), "static": False, "max_seconds": None, "audio_track": None}
    return config.model_copy(update={**whole, "length_policy": "audio"})
