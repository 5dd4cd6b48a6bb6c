"""Look at a result beside its source: one pass over both, reduced to numbers and a few pictures.

``N`` counts the frames of the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.errors import MediaError, RetalkingError
from retalking.face.affine import invert_affine, transform_points
from retalking.face.crops import LIP_PX, cut
from retalking.face.landmarks import Landmarker
from retalking.ibug68 import BROWS, EYES, lip_opening, mouth_width
from retalking.media.video import VideoReader
from retalking.metrics.face_crops import laplacian_levels
from retalking.metrics.meters import Meters
from retalking.metrics.metric import Clip, Metric
from retalking.mouth.warp.lending.lenders import mouth_box
from retalking.mouth.warp.visibility import GLANCE_PX, glance_at
from retalking.progress import REVIEWING, Watch
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.scene import Scene
from retalking.review.contact_sheet import spread_times
from retalking.review.hidden import find_hidden
from retalking.types import (
    AudioClip,
    BoolArray,
    FaceTrack,
    Float64Array,
    FloatArray,
    FrameChunk,
    IntArray,
    UInt8Array,
)

NUM_PICTURES = 8
_CHUNK_FRAMES = 8
_MOST_CLOSE_UPS = 50
_CLOSE_UP_MARGIN = 0.6  # of the face box's sides; what is edited ends within
_MOST_GLANCES = 4000  # frames of the source in which something may hide the mouth
_SURE = 0.5  # confidence from which lips that were found count


@dataclass(frozen=True)
class Lips:
    """Lips over time in distances of the eyes, float64 ``[N]`` each; rows without a face are 0."""

    opening: Float64Array
    width: Float64Array


@dataclass(frozen=True)
class Sight:
    """What is seen in a result.

    Attributes:
        made: the result's lips.
        old: those of the source's frames behind.
        found: bool ``[N]``, where both show a face that is edited fully.
        hidden: bool ``[N]``, where something hides the source's mouth, see ``find_hidden``.
        sharpness: of the result's mouth over the source's, relative to the eyes': what the codec
            does to both counts for nothing.
        values: quantities of ``retalking.metrics`` by name.
        failures: metrics that are not defined here, and why.
        pictures: uint8 ``[K, 384, 384, 3]``, faces of the source and of the result.
        moments_s: float64 ``[K]``, when these are shown.
    """

    made: Lips
    old: Lips
    found: BoolArray
    hidden: BoolArray
    sharpness: float
    values: Mapping[str, float]
    failures: Mapping[str, str]
    pictures: tuple[UInt8Array, UInt8Array]
    moments_s: Float64Array


def look_at_result(
    scene: Scene,
    plan: EditPlan,
    speech: AudioClip,
    result: Path,
    landmarker: Landmarker,
    metrics: Mapping[str, Metric],
    watch: Watch,
) -> Sight:
    """Look at all frames of a result.

    Args:
        scene: the video behind it.
        plan: of its frames.
        speech: 16 kHz, its first sample heard with the first frame.
        result: the video.
        landmarker: looks at both.
        metrics: by name; they need no truth.
        watch: told how far it is.

    Raises:
        MediaError: a video cannot be read, or the result has other frames than the plan.
        CancelledError: the watch said so.
    """
    index = plan.timeline.source_index
    clip = Clip(
        name=result.name,
        frame_rate=float(plan.timeline.frame_rate),
        speech=speech,
        result_track=_take(scene.analysis.track, index, plan.opacity > 0),
        source_track=_take(scene.analysis.track, index, plan.opacity > 0),
    )
    # What needs no track looks at some faces alone: in 4K a whole frame takes seconds.
    near = {name: metric for name, metric in metrics.items() if metric.needs <= {"source"}}
    meters = Meters({name: metrics[name] for name in metrics if name not in near}, clip)
    close_ups, step = Meters(near, clip), -(-len(plan) // _MOST_CLOSE_UPS)
    eyes = _Eyes(scene, plan, landmarker)
    watch.begin(REVIEWING, len(plan))
    for made, old in _read_pairs(scene, plan, result):
        meters.add(made.start, made.rgb, old.rgb)
        for row in range(-made.start % step, len(made), step):
            number = made.start + row
            if plan.opacity[number] > 0:
                box = scene.analysis.track.boxes_px[index[number]]
                close_ups.add(number, *(_around_face(c.rgb[row], box)[None] for c in (made, old)))
        eyes.look(made, old)
        watch.advance(REVIEWING, len(made))
    values: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name, state in (meters.finish() | close_ups.finish()).items():
        if isinstance(state, RetalkingError):
            failures[name] = str(state)
        else:
            values |= metrics[name].values(state)
    return eyes.sight(values, failures)


class _Eyes:
    """Looks at the frames of a result and of its source."""

    def __init__(self, scene: Scene, plan: EditPlan, landmarker: Landmarker) -> None:
        self._scene, self._plan, self._landmarker = scene, plan, landmarker
        count, track = len(plan), scene.analysis.track
        shown = np.flatnonzero(track.detected)
        placed = transform_points(scene.to_lips[shown], scene.landmarks_px(shown))
        # The same face is put on every frame to start from: the source's own would tell its lips.
        self._face = placed.mean(axis=0)
        self._lips = np.zeros((2, 2, count))  # made and old; opening and width
        self._sure = np.zeros((2, count))
        self._edges: list[tuple[float, ...]] = []
        self._glances: dict[int, UInt8Array] = {}
        self._glance_step = -(-len(scene.analysis.track) // _MOST_GLANCES)
        self._moments_s = spread_times(plan.timeline.duration_s, NUM_PICTURES)
        nearest = np.abs(plan.timeline.time_s[:, None] - self._moments_s).argmin(axis=0)
        self._wanted = nearest.tolist()
        self._pictures: dict[int, tuple[UInt8Array, UInt8Array]] = {}

    def look(self, made: FrameChunk, old: FrameChunk) -> None:
        """Take the next frames."""
        numbers = made.start + np.arange(len(made))
        for number in sorted(set(self._wanted) & set(numbers.tolist())):
            crop = self._scene.to_lips[self._source(number)]
            row = number - made.start
            self._pictures[number] = (
                cut(made.rgb[row], crop, LIP_PX),
                cut(old.rgb[row], crop, LIP_PX),
            )
        rows = np.flatnonzero(self._plan.opacity[numbers] > 0)
        if not len(rows):
            return
        numbers = numbers[rows]
        frames = self._plan.timeline.source_index[numbers]
        starts = np.stack(
            [transform_points(invert_affine(m), self._face) for m in self._scene.to_lips[frames]]
        ).astype(np.float32)
        for which, chunk in enumerate((made, old)):
            points, sure = self._landmarker.follow(chunk.rgb[rows], starts)
            self._lips[which, :, numbers] = np.stack([lip_opening(points), mouth_width(points)], 1)
            self._sure[which, numbers] = sure
        faces = self._scene.landmarks_px(frames)
        for row, frame, face in zip(rows, frames.tolist(), faces, strict=True):
            self._edges.append(
                tuple(
                    laplacian_levels(part[None])
                    for rgb in (made.rgb[row], old.rgb[row])
                    for part in (_cut_mouth(rgb, face), _cut_eyes(rgb, face))
                )
            )
            if frame % self._glance_step == 0 and frame not in self._glances:
                self._glances[frame] = glance_at(old.rgb[row], self._scene.to_lips[frame])

    def sight(self, values: Mapping[str, float], failures: Mapping[str, str]) -> Sight:
        """Return what was seen."""
        frames = np.array(sorted(self._glances), np.int64)
        width, height = GLANCE_PX
        glances = np.array([self._glances[frame] for frame in frames.tolist()], np.uint8)
        hidden = np.zeros(len(self._scene.analysis.track), np.bool_)
        found = find_hidden(self._scene, frames, glances.reshape(-1, height, width, 3))
        for offset in range(self._glance_step):  # frames between glances are as the one before
            hidden[np.minimum(frames + offset, len(hidden) - 1)] |= found
        edges = np.array(self._edges).reshape(-1, 4).mean(axis=0) if self._edges else np.ones(4)
        mouth, eyes, old_mouth, old_eyes = np.maximum(edges, 1e-6).tolist()
        empty = np.zeros((LIP_PX, LIP_PX, 3), np.uint8)
        pairs = [self._pictures.get(number, (empty, empty)) for number in self._wanted]
        return Sight(
            made=Lips(*self._lips[0]),
            old=Lips(*self._lips[1]),
            found=(self._plan.opacity >= 1) & (self._sure > _SURE).all(axis=0),
            hidden=hidden[self._plan.timeline.source_index],
            sharpness=mouth / old_mouth / (eyes / old_eyes),
            values=values,
            failures=failures,
            pictures=(np.stack([old for _, old in pairs]), np.stack([made for made, _ in pairs])),
            moments_s=self._moments_s,
        )

    def _source(self, number: int) -> int:
        return int(self._plan.timeline.source_index[number])


def _read_pairs(
    scene: Scene, plan: EditPlan, result: Path
) -> Iterator[tuple[FrameChunk, FrameChunk]]:
    index, pts = plan.timeline.source_index, scene.analysis.pts
    count = 0
    with VideoReader(result) as reader:
        sources = scene.source.read_frames(index, pts, _CHUNK_FRAMES)
        for made, old in zip(reader.read_chunks(_CHUNK_FRAMES), sources, strict=False):
            if len(made) != len(old) or made.rgb.shape != old.rgb.shape:
                break
            count += len(made)
            yield made, old
    if count != len(plan):
        raise MediaError(
            f"{result}: cannot be reviewed: only {count} of its frames are those of this job "
            f"({len(plan)} of {scene.source.info.width_px}x{scene.source.info.height_px})"
        )


def _take(track: FaceTrack, rows: IntArray, detected: BoolArray) -> FaceTrack:
    return FaceTrack(
        track.boxes_px[rows],
        track.landmarks_px[rows],
        track.confidence[rows],
        track.detected[rows] & detected,
        track.shot_id[rows],
        None if track.depth_px is None else track.depth_px[rows],
    )


def _around_face(rgb: UInt8Array, box: FloatArray) -> UInt8Array:
    """Pixels around a face box ``[4]``: more than is edited."""
    x1, y1, x2, y2 = box.tolist()
    across, down = _CLOSE_UP_MARGIN * (x2 - x1), _CLOSE_UP_MARGIN * (y2 - y1)
    left, top = max(round(x1 - across), 0), max(round(y1 - down), 0)
    return rgb[top : max(round(y2 + down), top + 3), left : max(round(x2 + across), left + 3)]


def _cut_mouth(rgb: UInt8Array, face: Float64Array) -> UInt8Array:
    x1, y1, x2, y2 = mouth_box(face, rgb.shape[1], rgb.shape[0])
    return rgb[y1:y2, x1:x2]


def _cut_eyes(rgb: UInt8Array, face: Float64Array) -> UInt8Array:
    """Brows and eyes ``[68, 2]``, which no job edits but for an emotion: a box of the frame."""
    points = np.concatenate([face[BROWS], face[EYES]])
    limit = np.array(rgb.shape[1::-1])
    low = np.floor(points.min(axis=0)).astype(int).clip(0, limit - 3)
    high = np.ceil(points.max(axis=0)).astype(int).clip(low + 3, limit)
    return rgb[low[1] : high[1], low[0] : high[0]]
