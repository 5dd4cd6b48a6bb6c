from __future__ import annotations

import dataclasses

import numpy as np

from retalking.face.crops import Pads
from retalking.ibug68 import MOUTH_CORNERS
from retalking.mouth.warp.face_model import fit_face
from retalking.mouth.warp.lip_measures import JAW, OPENING, WIDTH, measure_lips
from retalking.mouth.warp.speaker import study_speaker
from tests.talking import BASIS, openings, talking_points, track_of, turns

FRAMES = 60
POINTS = talking_points(openings(FRAMES), turns(FRAMES))


def test_lips_of_the_model_measure_what_is_asked_for() -> None:
    speaker = study_speaker(track_of(POINTS), BASIS, Pads())
    shapes = speaker.model.shapes(speaker.lips, speaker.head.angles)
    error = np.abs(measure_lips(shapes) - speaker.lips)[:, OPENING]
    assert error.max() < 0.02 * np.ptp(speaker.lips[:, OPENING])


def test_a_photograph_opens_its_mouth_as_people_do() -> None:
    shapes = BASIS.mean_shape[None].astype(np.float64)
    model = fit_face(shapes, measure_lips(shapes), np.zeros((1, 3)), BASIS)
    lips = measure_lips(shapes) + np.array([0.2, 0.0, 0.12, 0.2, 0.0])
    moved = model.shapes(lips, np.zeros((1, 3)))[0] - shapes[0]
    assert moved[66, 1] > 0.05  # the lower lip goes down
    assert moved[8, 1] > 0.02  # and takes the chin along
    assert abs(moved[27, 1]) < 0.01  # the root of the nose stays


def test_noise_and_few_frames_leave_typical_modes() -> None:
    rng = np.random.default_rng(0)
    shapes = BASIS.mean_shape + rng.normal(0, 0.01, (3, 68, 3))
    lips = measure_lips(shapes)
    model = fit_face(shapes, lips, rng.normal(0, 0.01, (3, 3)), BASIS)
    generic = fit_face(shapes[:1], lips[:1], np.zeros((1, 3)), BASIS)
    # Three frames of noise count for a tenth of what people have in common.
    assert np.abs(model.modes - generic.modes).max() < 0.3 * np.abs(generic.modes).max()


def test_old_lips_do_not_enter_where_landmarks_go() -> None:
    """What the frame itself shows of lips, cheeks and jaw is never read for the target."""
    speaker = study_speaker(track_of(POINTS), BASIS, Pads())
    frames, wanted = np.arange(FRAMES), np.repeat(speaker.lips[:1], FRAMES, axis=0)
    shown = speaker.landmarks_px.copy()
    shown[:, 2:15] += 7.0
    shown[:, 48:] -= 5.0
    other = dataclasses.replace(speaker, landmarks_px=shown)
    np.testing.assert_array_equal(other.aim(wanted, frames), speaker.aim(wanted, frames))


def test_a_frame_with_another_mouth_gets_the_same_target() -> None:
    """The whole chain: one frame's lips enter through the fit of all frames only."""
    frame = 8  # wide open
    gaps = openings(FRAMES)
    gaps[frame - 2 : frame + 3] = 0.0
    other = talking_points(gaps, turns(FRAMES))
    first, second = (study_speaker(track_of(points), BASIS, Pads()) for points in (POINTS, other))
    wanted, at = first.lips[:1], np.array([frame])
    was, now = first.aim(wanted, at), second.aim(wanted, at)
    # The frame's own lips differ by more than 5 px.
    assert np.abs(POINTS[frame] - other[frame])[66].max() > 5
    mouth = [*range(17), *range(48, 68)]  # the nose is where the frame has it
    assert np.abs(was - now)[0, mouth, :2].max() < 0.1


def test_the_head_is_found_without_depth() -> None:
    track = track_of(POINTS)
    flat = study_speaker(dataclasses.replace(track, depth_px=None), BASIS, Pads())
    yaw = flat.head.angles[:, 1]
    assert np.corrcoef(yaw, turns(FRAMES))[0, 1] ** 2 > 0.9


def test_trembling_landmarks_tremble_less() -> None:
    rng = np.random.default_rng(0)
    noisy = POINTS + rng.normal(0, 0.7, POINTS.shape)
    speaker = study_speaker(track_of(noisy), BASIS, Pads())
    lips = slice(48, 68)
    left = (speaker.landmarks_px - POINTS)[:, lips, :2].std()
    assert left < 0.6 * (noisy - POINTS)[:, lips, :2].std()


def test_jaw_follows_the_lips_of_the_speaker() -> None:
    speaker = study_speaker(track_of(POINTS), BASIS, Pads())
    wide = speaker.lips[8]
    assert wide[JAW] > speaker.lips[0, JAW]
    target = speaker.aim(np.stack([speaker.lips[0], wide]), np.array([0, 0]))
    assert target[1, 8, 1] - target[0, 8, 1] > 1.0


def test_a_turn_that_looks_like_a_wider_mouth_moves_no_lips() -> None:
    """Landmarks of a turned face may err; lips that stay as they are ask for no warp."""
    yaw = turns(FRAMES, 20.0)
    points = talking_points(openings(FRAMES), yaw)
    error = 6.0 * yaw[:, None] * np.array([-1.0, 1.0])  # up to 2 px on either side
    points[:, MOUTH_CORNERS, 0] += error
    speaker = study_speaker(track_of(points), BASIS, Pads())
    wanted = speaker.lips.copy()
    wanted[:, WIDTH] = speaker.range.mean[WIDTH]
    moved = speaker.aim(wanted, np.arange(FRAMES)) - speaker.landmarks_px
    # What is not proportional to turns is left; of an error taken for lips, more than all.
    assert np.abs(moved[:, MOUTH_CORNERS, 0]).max() < 0.75 * np.abs(error).max()
