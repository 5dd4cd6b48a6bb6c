"""Masks and beards are noticed; bare faces and passing shadows are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retalking.face.crops import Pads, lip_crops, smooth_anchors
from retalking.mouth.coverings import is_covered, look_for_coverings, warn_of_coverings
from retalking.mouth.warp.lending.lenders import read_lenders
from tests.talking import DrawnSource, analysis_of, draw, openings, talking_points, turns

POINTS = talking_points(openings(8), turns(8, 3.0))


def covered(frame: int, color: tuple[int, int, int], top: tuple[int, ...]) -> np.ndarray:
    """A face of which everything below some landmarks has a colour."""
    picture = draw(POINTS[frame])
    outline = np.concatenate([POINTS[frame, 2:15, :2], POINTS[frame, list(top), :2]])
    hull = cv2.convexHull(outline.astype(np.int32))
    return cv2.fillConvexPoly(picture, hull, color, cv2.LINE_AA)


@pytest.mark.parametrize(
    "color", [(120, 170, 210), (25, 25, 28), (70, 45, 35)], ids=["mask", "black mask", "beard"]
)
def test_what_hides_the_chin_is_seen(color: tuple[int, int, int]) -> None:
    assert is_covered(covered(0, color, (29, 31, 35)), POINTS[0, :, :2])


@pytest.mark.parametrize("brightness", [0.3, 0.7, 1.2])
def test_a_bare_face_in_any_light_is_none(brightness: float) -> None:
    assert not is_covered(draw(POINTS[0], brightness), POINTS[0, :, :2])


def test_a_chin_outside_the_picture_is_none() -> None:
    assert not is_covered(covered(0, (25, 25, 28), (29,))[:120], POINTS[0, :, :2])


def test_the_warning_names_the_frames(caplog: pytest.LogCaptureFixture) -> None:
    pictures = [draw(p) for p in POINTS]
    for frame in (2, 3, 4, 6):
        pictures[frame] = covered(frame, (120, 170, 210), (29, 31, 35))
    to_lips = lip_crops(smooth_anchors(analysis_of(POINTS).track), Pads())
    source, frames = DrawnSource(pictures), np.arange(8)
    lenders = read_lenders(source, frames, POINTS[..., :2], to_lips, frames)  # type: ignore[arg-type]
    assert np.flatnonzero(lenders.covered).tolist() == [2, 3, 4, 6]
    warn_of_coverings(Path("talk.mp4"), frames, lenders.covered)
    assert "talk.mp4: 4 of 8 frames" in caplog.text
    assert caplog.text.rstrip().endswith("2-4, 6")
    caplog.clear()
    warn_of_coverings(Path("photo.png"), frames[:1], np.array([True]))
    assert "1 of 1 frames" in caplog.text
    caplog.clear()
    warn_of_coverings(Path("talk.mp4"), frames, frames < 2)
    assert not caplog.text


def test_where_nobody_else_reads_the_faces_they_are_looked_at(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pictures = [draw(p) for p in POINTS]
    for frame in (1, 2, 5):
        pictures[frame] = covered(frame, (120, 170, 210), (29, 31, 35))
    source, analysis = DrawnSource(pictures), analysis_of(POINTS)
    look_for_coverings(source, analysis)  # type: ignore[arg-type]
    assert source.read == list(range(8))
    assert caplog.text.rstrip().endswith("1-2, 5")


def test_of_a_long_video_some_frames_are_looked_at() -> None:
    points = talking_points(openings(150), turns(150, 3.0))
    source = DrawnSource([draw(points[0])] * 150)
    look_for_coverings(source, analysis_of(points))  # type: ignore[arg-type]
    assert source.read == list(range(0, 150, 3))
