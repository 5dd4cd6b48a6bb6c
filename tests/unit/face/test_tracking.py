"""Following faces, shot cuts, gaps and the choice of a person."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from retalking.errors import ConfigError, FaceNotFoundError
from retalking.face.detection import CascadeDetector
from retalking.face.follower import frontality
from retalking.face.landmarks import LiteLandmarker
from retalking.face.likeness import likeness_to
from retalking.face.tracking import FaceChoice, select_track, track_faces
from retalking.types import FACE_PORTRAIT_PX, FaceSegment, FaceTracks
from tests.unit.face.stage import SIZE, TRACKING, Stage, chunked, walker


def test_follows_a_moving_face_and_searches_seldom():
    stage = Stage([walker])
    tracks = stage.track(110)
    assert len(tracks.segments) == 1
    segment = tracks.segments[0]
    assert (segment.start, segment.stop) == (0, 110)
    np.testing.assert_allclose(segment.boxes_px[:, 0], 20 + np.arange(110), atol=1)
    assert stage.searched == [0, 100]
    assert stage.glanced == [25, 50, 75]


@pytest.mark.parametrize("chunk", [1, 7, 60])
def test_chunk_size_does_not_matter(chunk):
    stage = Stage([walker, lambda n: (150, 20, 25) if n > 20 else None])
    one, other = stage.track(60, chunk=16), stage.track(60, chunk=chunk)
    assert [s.start for s in one.segments] == [s.start for s in other.segments]
    for a, b in zip(one.segments, other.segments, strict=True):
        np.testing.assert_array_equal(a.points_px, b.points_px)
    np.testing.assert_array_equal(one.shot_id, other.shot_id)


def test_short_gap_is_interpolated():
    stage = Stage([lambda n: None if 10 <= n < 16 else walker(n)])
    tracks = stage.track(40, max_gap_s=0.4)
    assert len(tracks.segments) == 1
    segment = tracks.segments[0]
    np.testing.assert_allclose(segment.boxes_px[:, 0], 20 + np.arange(40), atol=0.01)
    unseen = np.flatnonzero(segment.confidence == 0)
    assert set(range(10, 16)) <= set(unseen) <= set(range(10, 19))


def test_long_gap_ends_the_segment_but_not_the_person():
    stage = Stage([lambda n: None if 10 <= n < 40 else (60, 40, 30)])
    tracks = stage.track(60, max_gap_s=0.4)
    assert [(s.start, s.stop) for s in tracks.segments] == [(0, 10), (40, 60)]
    track = select_track(tracks)
    np.testing.assert_array_equal(track.detected, [not 10 <= n < 40 for n in range(60)])
    assert not track.landmarks_px[10:40].any()


def test_newcomer_is_found_at_the_next_search():
    stage = Stage([walker, lambda n: (150, 60, 25) if n >= 12 else None])
    starts = [s.start for s in stage.track(60).segments]
    assert starts == [0, 25]


def test_searches_soon_while_nobody_is_known():
    stage = Stage([lambda n: (60, 40, 30) if n >= 31 else None])
    tracks = stage.track(60)
    assert stage.searched[:3] == [0, 6, 18]
    assert 31 <= tracks.segments[0].start <= 31 + 12


def test_cut_ends_segments_and_counts_shots():
    stage = Stage([lambda n: (60, 40, 30)])
    frames = list(stage.frames(40))
    other = np.random.default_rng(3).integers(0, 255, (12, 20, 3), np.uint8)
    for number in range(20, 40):
        frames[number] = cv2.resize(other, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        frames[number][0, 0] = number
    tracks = track_faces(chunked(frames, 6), stage, stage, 25.0, TRACKING)
    assert [(s.start, s.stop) for s in tracks.segments] == [(0, 20), (20, 40)]
    np.testing.assert_array_equal(tracks.shot_id, [0] * 20 + [1] * 20)
    stamps = np.concatenate([chunk.pts for chunk in chunked(frames, 6)])
    np.testing.assert_array_equal(tracks.pts, stamps)
    assert select_track(tracks).detected.all()


def test_two_faces_that_meet_stay_two_at_most():
    stage = Stage([lambda n: (20 + 2 * n, 40, 30), lambda n: (140 - 2 * n, 40, 30)])
    for segment in stage.track(60).segments:
        assert (segment.confidence[[0, -1]] > 0).all()


def test_choice_of_a_person():
    small, large = (lambda n: (150, 60, 20)), (lambda n: (30, 30, 40))
    tracks = Stage([small, large]).track(20)
    assert select_track(tracks).boxes_px[0, 0] == pytest.approx(30, abs=1)
    assert select_track(tracks, FaceChoice(index=1)).boxes_px[0, 0] == pytest.approx(150, abs=1)
    in_box = FaceChoice(box_px=(140.0, 50.0, 175.0, 85.0))
    assert select_track(tracks, in_box).boxes_px[0, 0] == pytest.approx(150, abs=1)


def test_choice_by_likeness_sees_the_portrait():
    frames = [astronaut() for _ in range(3)]
    landmarker = LiteLandmarker.from_file()
    tracks = track_faces(
        chunked(frames, 3),
        CascadeDetector(landmarker),
        landmarker,
        25.0,
        TRACKING,
    )
    seen = []
    track = select_track(tracks, FaceChoice(likeness=lambda p: seen.append(p) or 1.0))
    assert track.detected.all()
    assert seen[0].shape == (FACE_PORTRAIT_PX, FACE_PORTRAIT_PX, 3)
    assert seen[0].std() > 20
    with pytest.raises(FaceNotFoundError, match="none of the 1 faces"):
        select_track(tracks, FaceChoice(likeness=lambda p: -1.0))


def test_photograph_picks_its_person():
    """Two versions of the one face that we may ship: as it is, and distorted beyond likeness."""
    landmarker = LiteLandmarker.from_file()
    detector = CascadeDetector(landmarker)
    scene = np.full((512, 900, 3), 90, np.uint8)
    scene[:, :512] = astronaut()
    wide = cv2.resize(astronaut()[20:230, 120:330], (300, 260))[:, ::-1]
    scene[100:360, 560:860] = cv2.GaussianBlur(wide, (9, 9), 0)
    tracks = track_faces(chunked([scene] * 2, 2), detector, landmarker, 25.0, TRACKING)
    assert len(tracks.segments) == 2
    for mirrored in (False, True):
        photograph = np.ascontiguousarray(wide if mirrored else astronaut())
        likeness = likeness_to(photograph, detector, landmarker)
        track = select_track(tracks, FaceChoice(likeness=likeness))
        assert (track.boxes_px[0, 0] > 512) == mirrored
    with pytest.raises(FaceNotFoundError, match="no face found in the photograph"):
        likeness_to(np.zeros((64, 64, 3), np.uint8), detector, landmarker)


def test_choice_errors():
    tracks = Stage([walker]).track(5)
    with pytest.raises(FaceNotFoundError, match="none of the 1 faces"):
        select_track(tracks, FaceChoice(index=1))
    with pytest.raises(FaceNotFoundError, match="none of the 1 faces"):
        select_track(tracks, FaceChoice(box_px=(180.0, 100.0, 190.0, 110.0)))
    with pytest.raises(FaceNotFoundError, match="no face found in 5 frames"):
        select_track(Stage([]).track(5))
    with pytest.raises(ConfigError, match="not by several"):
        FaceChoice(index=0, box_px=(0.0, 0.0, 1.0, 1.0))
    with pytest.raises(ConfigError, match="got -1"):
        FaceChoice(index=-1)
    with pytest.raises(ConfigError, match="x1 < x2"):
        FaceChoice(box_px=(5.0, 0.0, 5.0, 1.0))


def test_real_face_that_moves_zooms_and_leaves():
    torch.set_num_threads(1)
    frames = []
    for number in range(24):
        scale = 0.9 + 0.012 * number
        shift = np.array([[scale, 0, 10 + 3 * number], [0, scale, 5]])
        frame = cv2.warpAffine(astronaut(), shift, (640, 480), borderMode=cv2.BORDER_REPLICATE)
        frames.append(frame if number < 18 else np.full_like(frame, 128))
    landmarker = LiteLandmarker.from_file()
    tracks = track_faces(
        chunked(frames, 5),
        CascadeDetector(landmarker),
        landmarker,
        25.0,
        TRACKING,
    )
    track = select_track(tracks)
    np.testing.assert_array_equal(track.detected, [n < 18 for n in range(24)])
    assert track.depth_px is not None
    scales = 0.9 + 0.012 * np.arange(18)
    nose = np.stack([scales * 224 + 10 + 3 * np.arange(18), scales * 126 + 5], axis=1)
    error = np.linalg.norm(track.landmarks_px[:18, 30] - nose, axis=1)
    assert (error < 6 * scales).all()
    assert (error - error.mean() < 2).all()


def test_frontality_prefers_the_frontal_face():
    points = np.zeros((68, 3), np.float32)
    points[36:42, 0], points[42:48, 0] = -30, 30
    frontal = frontality(points)
    points[30, 0] = 25
    assert frontal == pytest.approx(1)
    assert 0 <= frontality(points) < 0.5


def test_values_check_their_shapes():
    zero = np.zeros
    with pytest.raises(ValueError, match=r"FaceSegment\.points_px"):
        FaceSegment(
            0,
            zero((2, 4), np.float32),
            zero((2, 68, 2), np.float32),
            zero(2, np.float32),
            zero((112, 112, 3), np.uint8),
        )
    with pytest.raises(ValueError, match=r"FaceTracks\.shot_id"):
        FaceTracks((), zero(3, np.int32), zero(3, np.int64))
    with pytest.raises(ValueError, match=r"FaceTracks.pts: got int64\[2\], expected int64\[3\]"):
        FaceTracks((), zero(3, np.int64), zero(2, np.int64))
