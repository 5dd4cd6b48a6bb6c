"""Frames without a face under each policy."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from retalking.analysis.missing_faces import apply_missing_policy, drop_profiles
from retalking.coefficients.windows import coefficient_windows
from retalking.errors import FaceNotFoundError
from retalking.types import VideoAnalysis, describe_frames
from tests.faces import frontal_landmarks, make_analysis, make_track


def analysis_of(detected: list[int], shot_id: list[int] | None = None) -> VideoAnalysis:
    frames = len(detected)
    landmarks = frontal_landmarks() + np.arange(frames)[:, None, None]
    return make_analysis(make_track(landmarks, [d > 0 for d in detected], shot_id))


@pytest.mark.parametrize("policy", ["passthrough", "hold", "error"])
def test_nothing_happens_where_nothing_is_missing(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    analysis = analysis_of([1, 1, 1])
    assert apply_missing_policy(analysis, policy) is analysis  # type: ignore[arg-type]
    assert caplog.text == ""


def test_passthrough_keeps_the_track_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    analysis = analysis_of([1, 0, 0, 1, 0])
    assert apply_missing_policy(analysis, "passthrough").track is analysis.track
    assert "3 of 5 frames have no usable face (they stay as they are): 1-2, 4" in caplog.text


def test_windows_reach_no_coefficients_of_frames_without_a_face() -> None:
    """D-Net's window of a frame reads its neighbours, whether they show the face or not."""
    analysis = analysis_of([0, 0, 1, 1, 0, 0, 1, 0], [0] * 8)
    for policy in ("passthrough", "hold"):
        kept = apply_missing_policy(analysis, policy).coefficients  # type: ignore[arg-type]
        np.testing.assert_array_equal(kept.crop[:, 0], [3, 3, 3, 4, 4, 4, 7, 7])
        np.testing.assert_array_equal(kept.expression[:, 63], [3, 3, 3, 4, 4, 4, 7, 7])
        windows = coefficient_windows(kept, [2, 3, 6], analysis.track.shot_id)
        assert windows[:, 70].min() == 3


def test_hold_edits_where_the_face_was_last_seen(caplog: pytest.LogCaptureFixture) -> None:
    analysis = analysis_of([0, 1, 1, 0, 0, 1, 0])
    held = apply_missing_policy(analysis, "hold")
    assert held.track.detected.all()
    source = [1, 1, 2, 2, 2, 5, 5]
    np.testing.assert_array_equal(held.track.landmarks_px, analysis.track.landmarks_px[source])
    np.testing.assert_array_equal(held.track.boxes_px, analysis.track.boxes_px[source])
    assert "(edited where their shot last shows it): 0, 3-4, 6" in caplog.text


def test_hold_does_not_reach_across_a_cut() -> None:
    analysis = analysis_of([1, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 1, 1, 2, 2])
    held = apply_missing_policy(analysis, "hold")
    np.testing.assert_array_equal(held.track.detected, [1, 1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(
        held.track.landmarks_px[:6], analysis.track.landmarks_px[[0, 0, 0, 5, 5, 5]]
    )
    np.testing.assert_array_equal(held.coefficients.crop[:6, 0], [1, 1, 1, 6, 6, 6])


def test_hold_moves_the_depth_along() -> None:
    analysis = analysis_of([1, 0])
    track = analysis.track
    depth = np.array([[3.0] * 68, [0.0] * 68], np.float32)
    deep = type(track)(
        track.boxes_px, track.landmarks_px, track.confidence, track.detected, track.shot_id, depth
    )
    held = apply_missing_policy(dataclasses.replace(analysis, track=deep), "hold")
    assert held.track.depth_px is not None
    np.testing.assert_array_equal(held.track.depth_px, 3)


def test_error_names_the_first_frame_its_time_and_the_way_out() -> None:
    with pytest.raises(FaceNotFoundError) as caught:
        apply_missing_policy(analysis_of([1, 1, 1, 0, 1, 0]), "error")
    assert str(caught.value) == (
        "talk.mp4: no usable face in frame 3 (0.12 s); use --on-missing-face passthrough or hold"
    )
    assert (caught.value.frame_index, caught.value.time_s) == (3, pytest.approx(0.12))


@pytest.mark.parametrize("policy", ["passthrough", "hold", "error"])
@pytest.mark.parametrize("frames", [1, 4])
def test_no_face_at_all_is_an_error_under_every_policy(policy: str, frames: int) -> None:
    with pytest.raises(FaceNotFoundError, match=r"talk.mp4: no usable face in frame 0 \(0.00 s\)$"):
        apply_missing_policy(analysis_of([0] * frames), policy)  # type: ignore[arg-type]


@pytest.mark.parametrize(("yaw_deg", "kept"), [(59.9, 3), (-59.9, 3), (60.1, 0), (-75, 0)])
def test_faces_turned_too_far_are_dropped(
    yaw_deg: float, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    track = make_track(np.repeat(frontal_landmarks()[None], 4, axis=0), [True, False, True, True])
    with caplog.at_level(logging.WARNING):
        result = drop_profiles(track, make_analysis(track, yaw_deg).coefficients, 60)
    assert result.detected.sum() == kept
    assert not result.detected[1]
    np.testing.assert_array_equal(result.landmarks_px, track.landmarks_px)
    assert ("3 frames show the face turned by more than 60" in caplog.text) == (kept == 0)
    assert ("0, 2-3" in caplog.text) == (kept == 0)


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([], ""),
        ([0, 0], ""),
        ([1], "0"),
        ([1, 1, 1], "0-2"),
        ([0, 1, 1, 0, 1], "1-2, 4"),
        ([1, 0] * 6, "0, 2, 4, 6, 8, 10"),
        ([1, 0] * 9 + [1, 1], "0, 2, 4, 6, 8, 10 and 4 more"),
    ],
)
def test_frames_are_described_as_ranges(chosen: list[int], text: str) -> None:
    assert describe_frames(np.array(chosen, bool)) == text


def test_a_held_face_keeps_its_crop() -> None:
    analysis = analysis_of([1, 1, 0])
    held = apply_missing_policy(analysis, "hold")
    np.testing.assert_array_equal(held.crops[2], analysis.crops[1])
    passed = apply_missing_policy(analysis, "passthrough")
    np.testing.assert_array_equal(passed.crops, analysis.crops)
