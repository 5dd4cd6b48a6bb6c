"""Follow all faces through a video in one pass, and choose whose lips are edited.

What is kept are numbers and one small portrait per segment, however long the video is.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.errors import ConfigError, FaceNotFoundError
from retalking.face.detection import FaceDetector, intersection_over_union
from retalking.face.follower import FaceFollower, TrackingSettings
from retalking.face.landmarks import Landmarker
from retalking.face.likeness import describe
from retalking.face.picture import PictureChunk
from retalking.face.shots import split_frames
from retalking.types import FaceSegment, FaceTrack, FaceTracks, FrameChunk, UInt8Array

_CONTINUES = 0.1
_IN_BOX = 0.05
_SAME_PERSON = 0.92
"""Likeness of portraits that fewer than one in twenty pairs of strangers reach (16 clips)."""


@dataclass(frozen=True)
class FaceChoice:
    """Which of several people is edited; without a wish, the one that fills most of each shot.

    Attributes:
        index: the n-th largest face of each shot, 0 being the largest. Shots with fewer faces are
            left alone.
        box_px: ``(x1, y1, x2, y2)``; the face that lies most in it. Shots without one are left
            alone.
        likeness: rates the portrait ``[112, 112, 3]`` of a face, higher is more like the wanted
            person; 0 or less is someone else.

    Raises:
        ConfigError: more than one wish, a negative index or a box without area.
    """

    index: int | None = None
    box_px: tuple[float, float, float, float] | None = None
    likeness: Callable[[UInt8Array], float] | None = None

    def __post_init__(self) -> None:
        if sum(wish is not None for wish in (self.index, self.box_px, self.likeness)) > 1:
            raise ConfigError("choose the face by index, by box or by photograph, not by several")
        if self.index is not None and self.index < 0:
            raise ConfigError(f"face index: got {self.index}, expected 0 (the largest) or more")
        if self.box_px is not None:
            x1, y1, x2, y2 = self.box_px
            if not (x1 < x2 and y1 < y2):
                raise ConfigError(f"face box: got {self.box_px}, expected x1 < x2 and y1 < y2")

    def rate(self, segment: FaceSegment) -> float:
        """Return how well a segment fits; 0 or less: not at all."""
        if self.likeness is not None:
            return self.likeness(segment.portrait)
        if self.box_px is not None:
            box = np.array(self.box_px, np.float32)
            shared = float(intersection_over_union(box, segment.boxes_px).mean())
            return shared if shared > _IN_BOX else 0.0
        sides = segment.boxes_px[:, 2:] - segment.boxes_px[:, :2]
        return float(sides.prod(axis=1).sum())


def track_faces(
    chunks: Iterable[FrameChunk | PictureChunk],
    detector: FaceDetector,
    landmarker: Landmarker,
    frames_per_s: float,
    settings: TrackingSettings,
) -> FaceTracks:
    """Find and follow every face of a video.

    The landmarks of one frame place the crop of the next. The whole frame is searched at the start
    of a shot, now and then, and soon after a face is lost. A segment ends at a cut and where its
    face stays unseen for longer than the gap allowed.

    Args:
        chunks: all frames in order; how they are cut into chunks does not matter.
        detector: searches whole frames.
        landmarker: confirms and follows.
        frames_per_s: nominal rate, to turn the times of the settings into frames.
        settings: see there.

    Returns:
        The segments, and the shot and time of every frame.
    """
    follower = FaceFollower(detector, landmarker, frames_per_s, settings)
    shot_id, pts = array("q"), array("q")
    for frame in split_frames(chunks):
        if frame.is_cut:
            follower.end_shot()
        follower.advance(frame.number, frame.picture)
        pts.append(frame.pts)
        shot_id.append((shot_id[-1] if shot_id else 0) + frame.is_cut)
    follower.end_shot()
    segments = sorted(follower.segments, key=lambda segment: segment.start)
    return FaceTracks(tuple(segments), np.array(shot_id, np.int64), np.array(pts, np.int64))


def select_track(tracks: FaceTracks, choice: FaceChoice | None = None) -> FaceTrack:
    """Pick one face in each shot.

    Args:
        tracks: all faces of the video.
        choice: whose.

    Returns:
        One row per frame; where the face is not seen, ``detected`` is false and the rest zero.

    Raises:
        FaceNotFoundError: no face in the video, or none that fits.
    """
    choice = choice or FaceChoice()
    if not tracks.segments:
        raise FaceNotFoundError(
            f"no face found in {len(tracks)} frames; a face needs about 30 px, both eyes visible, "
            "and to be upright"
        )
    chosen: list[FaceSegment] = []
    for shot in np.unique(tracks.shot_id):
        inside = [s for s in tracks.segments if tracks.shot_id[s.start] == shot]
        people = _join_people(inside, choice)
        rank = choice.index or 0
        chosen += people[rank] if rank < len(people) else []
    if not chosen:
        raise FaceNotFoundError(
            f"none of the {len(tracks.segments)} faces found fits the wanted index, box or "
            "photograph; without such a wish the largest is taken"
        )
    return merge_segments(chosen, tracks)


def merge_segments(segments: list[FaceSegment], tracks: FaceTracks) -> FaceTrack:
    """Lay segments that do not overlap in time along the video."""
    frames = len(tracks)
    boxes = np.zeros((frames, 4), np.float32)
    points = scratch.zeros((frames, 68, 2), np.float32)
    depth = scratch.zeros((frames, 68), np.float32)
    confidence = np.zeros(frames, np.float32)
    detected = np.zeros(frames, np.bool_)
    for segment in segments:
        rows = slice(segment.start, segment.stop)
        boxes[rows] = segment.boxes_px
        scratch.copy(segment.points_px[..., :2], points[rows])
        scratch.copy(segment.points_px[..., 2], depth[rows])
        confidence[rows], detected[rows] = segment.confidence, True
    return FaceTrack(boxes, points, confidence, detected, tracks.shot_id, depth)


def _join_people(segments: list[FaceSegment], choice: FaceChoice) -> list[list[FaceSegment]]:
    """Group the fitting segments of a shot by person, best person first.

    A face that was away for longer than the tracker bridges comes back as another segment; it
    belongs to the person whose box it takes up, or else to the one whom it looks like.
    """
    rated = sorted(((choice.rate(s), -s.start, s) for s in segments), key=lambda r: r[:2])
    people: list[list[FaceSegment]] = []
    for rating, _, segment in reversed(rated):
        if rating <= 0:
            continue
        person = next((person for person in people if _continues(segment, person)), None)
        person = person or _look_alike(segment, people)
        if person is None:
            people.append([segment])
        else:
            person.append(segment)
    return people


def _look_alike(segment: FaceSegment, people: list[list[FaceSegment]]) -> list[FaceSegment] | None:
    """The person, not in view meanwhile, whose portraits are nearest, if they are near enough."""
    portrait = describe(segment.portrait)
    absent = [person for person in people if not _together(segment, person)]
    likeness = [max(float(describe(s.portrait) @ portrait) for s in person) for person in absent]
    if not likeness or max(likeness) < _SAME_PERSON:
        return None
    return absent[int(np.argmax(likeness))]


def _together(segment: FaceSegment, person: list[FaceSegment]) -> bool:
    return any(segment.start < other.stop and other.start < segment.stop for other in person)


def _continues(segment: FaceSegment, person: list[FaceSegment]) -> bool:
    if _together(segment, person):
        return False
    earlier = [other for other in person if other.stop <= segment.start]
    later = [other for other in person if other.start >= segment.stop]
    ends = []
    if earlier:
        ends.append((max(earlier, key=lambda s: s.stop).boxes_px[-1], segment.boxes_px[0]))
    if later:
        ends.append((min(later, key=lambda s: s.start).boxes_px[0], segment.boxes_px[-1]))
    return any(
        intersection_over_union(first, second[None])[0] > _CONTINUES for first, second in ends
    )
