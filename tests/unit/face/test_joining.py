"""Who comes back into the picture is the same person, wherever that is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from retalking.errors import FaceNotFoundError
from retalking.face.landmarks import face_boxes
from retalking.face.tracking import FaceChoice, select_track
from retalking.types import FACE_PORTRAIT_PX, FaceSegment, FaceTracks

FRAMES = 60


def portrait(blur: float = 0.0, brightness: float = 1.0) -> np.ndarray:
    face = cv2.resize(astronaut()[40:210, 140:310], (FACE_PORTRAIT_PX, FACE_PORTRAIT_PX))
    face = np.clip(face * brightness, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(face, (0, 0), blur) if blur else face


def stranger() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    size = (FACE_PORTRAIT_PX, FACE_PORTRAIT_PX)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


def segment(start: int, stop: int, left_px: float, picture: np.ndarray) -> FaceSegment:
    points = np.zeros((stop - start, 68, 3), np.float32)
    points[..., :2] = np.random.default_rng(1).uniform(0, 30, (68, 2)) + np.array([left_px, 20])
    ones = np.ones(stop - start, np.float32)
    return FaceSegment(start, face_boxes(points), points, ones, picture)


def select(*segments: FaceSegment, **wish: object) -> np.ndarray:
    tracks = FaceTracks(segments, np.zeros(FRAMES, np.int64), np.arange(FRAMES))
    choice = FaceChoice(**wish)  # type: ignore[arg-type]
    return select_track(tracks, choice).detected


def test_a_person_who_leaves_left_and_returns_right_is_one() -> None:
    gone = segment(0, 25, 10, portrait())
    back = segment(35, 60, 300, portrait(blur=0.7, brightness=1.15))
    np.testing.assert_array_equal(select(gone, back), [n < 25 or n >= 35 for n in range(FRAMES)])
    with pytest.raises(FaceNotFoundError):
        select(gone, back, index=1)


def test_somebody_else_is_not_joined() -> None:
    gone, other = segment(0, 30, 10, portrait()), segment(35, 60, 300, stranger())
    np.testing.assert_array_equal(select(gone, other), np.arange(FRAMES) < 30)


def test_who_is_in_the_picture_with_somebody_is_not_the_same() -> None:
    """However alike twins are."""
    first, twin = segment(0, 60, 10, portrait()), segment(20, 50, 300, portrait())
    np.testing.assert_array_equal(select(first, twin), np.ones(FRAMES))
    np.testing.assert_array_equal(
        select(first, twin, index=1), [20 <= n < 50 for n in range(FRAMES)]
    )


def test_of_two_the_more_alike_is_continued() -> None:
    first, second = segment(0, 20, 10, portrait()), segment(0, 19, 150, portrait(blur=2.5))
    back = segment(40, 60, 300, portrait(blur=0.5))
    assert select(first, second, back)[40:].all()
    assert not select(first, second, back, index=1)[40:].any()


def test_without_a_face_it_is_said_what_one_needs() -> None:
    with pytest.raises(FaceNotFoundError, match=r"30 px, both eyes visible, and to be upright$"):
        select()
