"""Around a face the reference shows the frame, and nothing there tells how a mouth moves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retalking.face.crops import LIP_PX, lip_anchors, lip_crops
from retalking.ibug68 import JAW
from retalking.mouth.networks.surroundings import (
    Surroundings,
    face_region,
    keep_surroundings,
    outline_face,
)
from retalking.types import FaceTrack
from tests.faces import frontal_landmarks

FACE = frontal_landmarks(100.0, 0) + np.array([320.0, 240.0])


def track_of(landmarks: np.ndarray, shots: list[int] | None = None) -> FaceTrack:
    count = len(landmarks)
    return FaceTrack(
        boxes_px=np.zeros((count, 4), np.float32),
        landmarks_px=landmarks.astype(np.float32),
        confidence=np.ones(count, np.float32),
        detected=np.ones(count, np.bool_),
        shot_id=np.array(shots or [0] * count),
    )


def opened(landmarks: np.ndarray, by_px: float) -> np.ndarray:
    """The chin and the corners of the jaw go down."""
    moved = landmarks.copy()
    moved[4:13, 1] += by_px
    return moved


def pictures(count: int, grey: int) -> np.ndarray:
    return np.full((count, LIP_PX, LIP_PX, 3), grey, np.uint8)


def kept_rows(surroundings: Surroundings, source: list[int]) -> np.ndarray:
    """Where fine noise of the references shows: bool ``[A, 384, 384]``."""
    noise = np.random.default_rng(0).choice([150, 250], (1, LIP_PX, LIP_PX, 1))
    references = np.tile(noise.astype(np.uint8), (len(source), 1, 1, 3))
    faces = pictures(len(source), 200)
    kept = surroundings.keep(references, faces, np.array(source))
    return (np.abs(kept.astype(int) - faces) > 5).all(axis=-1)


def test_an_outline_holds_the_jaw_of_every_frame_but_rare_mistakes() -> None:
    rng = np.random.default_rng(0)
    frames = FACE + rng.normal(0, 2, (100, 68, 2))
    frames[:, 4:13, 1] += rng.uniform(0, 15, (100, 1))
    frames[17] += 80
    jaws = frames[:, JAW]
    outline = outline_face(jaws)
    usual = np.delete(jaws, 17, axis=0)
    assert (outline[:8, 0] <= np.percentile(usual[:, :8, 0], 5, axis=0)).all()
    assert (outline[9:, 0] >= np.percentile(usual[:, 9:, 0], 95, axis=0)).all()
    assert (outline[:, 1] >= np.percentile(usual[:, :, 1], 95, axis=0)).all()
    assert np.abs(outline - usual.mean(axis=0)).max() < 20


@pytest.mark.parametrize("size", [96, 384])
def test_the_region_is_soft_and_reaches_a_little_beyond_the_outline(size: int) -> None:
    angle = np.linspace(np.pi, 0, 17)
    outline = size * (0.5 + 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    region = face_region(outline, size)
    assert region.shape == (size, size)
    assert region.dtype == np.float32
    position = (np.arange(size) + 0.5) / size - 0.5
    distance = np.hypot(position[None], position[:, None])
    below = np.broadcast_to(position[:, None] > 0, region.shape)
    assert region[below & (distance < 0.3)].min() > 0.5
    assert region[below & (distance > 0.38)].max() < 0.1
    assert region[: size // 2, size // 2].min() == 1  # the upper face is the reference's
    assert region.min() == 0


def lower_box() -> np.ndarray:
    region = np.zeros((LIP_PX, LIP_PX), np.float32)
    region[LIP_PX // 2 : 300, 100:280] = 1
    return region


def test_the_face_is_the_references_and_the_rest_the_frames() -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (2, LIP_PX, LIP_PX, 3)).astype(np.uint8)
    references = faces.copy()
    references[:, 220:280, 150:250] = 90  # a mouth
    region = lower_box()
    kept = keep_surroundings(references, faces, region)
    assert kept.dtype == np.uint8
    assert np.array_equal(kept, references)
    mixed = keep_surroundings(references, faces, 0.25 * region)[:, 220:280, 150:250]
    share = 0.25 * 90 + 0.75 * faces[:, 220:280, 150:250]
    assert np.abs(mixed - share).mean() < 20  # some of it counts as known: a tint is taken away


def test_a_tint_of_the_reference_goes_and_its_mouth_stays() -> None:
    faces = pictures(1, 120)
    references = faces.copy()
    references[:, 220:280, 150:250] = 60
    tinted = (references + np.array([20, -10, 30])).astype(np.uint8)
    kept = keep_surroundings(tinted, faces, lower_box())
    assert np.abs(kept.astype(int) - references).max() <= 1


def test_the_frames_mouth_lends_no_colour() -> None:
    faces = pictures(1, 120)
    references, region = faces.copy(), lower_box()
    plain = keep_surroundings(references, faces, region)
    faces[:, 220:280, 150:250] = 0
    assert np.array_equal(keep_surroundings(references, faces, region), plain)


def test_the_edge_of_a_face_does_not_follow_its_chin() -> None:
    openings = np.linspace(0, 20, 30)
    track = track_of(np.stack([opened(FACE, by) for by in openings]))
    surroundings = Surroundings(track, lip_crops(lip_anchors(track.landmarks_px)))
    kept = kept_rows(surroundings, [0, 15, 29])
    assert np.array_equal(kept[0], kept[1])
    assert np.array_equal(kept[0], kept[2])
    assert 0.2 < kept.mean() < 0.95


def test_every_shot_has_an_edge_of_its_own() -> None:
    track = track_of(np.stack([FACE, FACE, opened(FACE, 25), opened(FACE, 25)]), [0, 0, 1, 1])
    crops = lip_crops(lip_anchors(track.landmarks_px))
    first, again, second = kept_rows(Surroundings(track, crops), [0, 1, 2])
    assert np.array_equal(first, again)
    assert first.sum() < second.sum() - 1000


def test_frames_without_a_face_are_not_asked() -> None:
    track = track_of(np.stack([FACE, np.full_like(FACE, np.nan)]))
    track = dataclasses.replace(track, detected=np.array([True, False]))
    crops = lip_crops(lip_anchors(np.stack([FACE, FACE])))
    assert kept_rows(Surroundings(track, crops), [0]).any()
