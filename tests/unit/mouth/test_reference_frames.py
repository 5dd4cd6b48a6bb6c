from __future__ import annotations

import dataclasses

import numpy as np

from retalking.mouth.networks.reference_frames import (
    choose_first_frame,
    choose_quiet_frames,
    choose_what_to_look_at,
)
from tests.faces import frontal_landmarks, make_analysis, make_track

NONE = np.array([], dtype=np.int64)


def landmarks(openings: list[float]) -> np.ndarray:
    """Faces whose inner lips are this many eye distances apart."""
    faces = np.repeat(frontal_landmarks()[None], len(openings), axis=0)
    middle = faces[:, 60:68, 1].mean(axis=1, keepdims=True)
    half = np.array(openings)[:, None] * 30
    faces[:, [61, 62, 63], 1] = middle - half
    faces[:, [65, 66, 67], 1] = middle + half
    return faces


def test_references_are_quiet_frames() -> None:
    openings = [0.3, 0.0, 0.4, 0.01, 0.5, 0.2, 0.3, 0.4, 0.5, 0.6]
    index = choose_quiet_frames(make_analysis(make_track(landmarks(openings))), NONE)
    assert set(index.tolist()) <= {1, 3}
    assert index[1] == 1


def test_hidden_mouths_are_no_references() -> None:
    openings = [0.3, 0.0, 0.4, 0.01, 0.5, 0.02, 0.3, 0.4, 0.5, 0.6]
    analysis = make_analysis(make_track(landmarks(openings)))
    assert set(choose_quiet_frames(analysis, np.array([1]))) == {3}
    assert set(choose_quiet_frames(analysis, np.array([1, 3]))) <= {0, 5}  # the next ones
    assert set(choose_quiet_frames(analysis, np.arange(10))) <= {1, 3}  # rather than none


def test_of_long_shots_some_frames_are_looked_at() -> None:
    openings = np.linspace(0.5, 0, 3000).tolist()
    detected, shots = [True] * 2990 + [False] * 10, [0] * 50 + [1] * 2950
    analysis = make_analysis(make_track(landmarks(openings), detected, shots))
    looked_at = choose_what_to_look_at(analysis)
    assert (np.diff(looked_at) > 0).all()
    assert len(looked_at) < 700
    assert looked_at.max() == 2989
    assert set(range(50)) < set(looked_at)
    assert set(choose_quiet_frames(analysis, NONE)) - {-1} <= set(looked_at)


def test_the_pose_is_the_nearest() -> None:
    analysis = make_analysis(make_track(landmarks([0.0] * 2 + [0.5] * 8)))
    angle = np.zeros((10, 3), np.float32)
    angle[:, 1] = [-0.5, 0.5, -0.4, 0.4, -0.3, 0.3, 0.2, -0.2, 0.1, -0.1]
    analysis = dataclasses.replace(
        analysis, coefficients=dataclasses.replace(analysis.coefficients, angle=angle)
    )
    index = choose_quiet_frames(analysis, NONE)
    np.testing.assert_array_equal(index, np.where(angle[:, 1] < 0, 0, 1))


def test_shots_keep_to_themselves_and_missing_faces_have_none() -> None:
    detected = [True] * 4 + [False] + [True] * 5
    track = make_track(landmarks([0.1] * 10), detected, [0] * 5 + [1] * 5)
    index = choose_quiet_frames(make_analysis(track), NONE)
    assert index[4] == -1
    assert index[:4].max() < 4
    assert index[5:].min() >= 5


def test_many_poses_are_covered() -> None:
    analysis = make_analysis(make_track(landmarks([0.0] * 200)))
    angle = np.zeros((200, 3), np.float32)
    angle[:, 1] = np.linspace(-1, 1, 200)
    analysis = dataclasses.replace(
        analysis, coefficients=dataclasses.replace(analysis.coefficients, angle=angle)
    )
    index = choose_quiet_frames(analysis, NONE)
    assert 2 <= len(np.unique(index)) <= 12


def test_the_first_face_serves_every_frame_with_one() -> None:
    track = make_track(landmarks([0.1] * 5), [False, True, True, False, True])
    assert choose_first_frame(track).tolist() == [-1, 1, 1, -1, 1]
