"""Flicker and seams of edits that are known exactly."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from retalking.errors import FaceNotFoundError, MediaError
from retalking.metrics.metric import Clip, ClipChunk, State
from retalking.metrics.steadiness import Flicker, Seam
from retalking.types import UInt8Array
from tests.faces import frontal_landmarks, make_track
from tests.rounding import DOUBLE

NUM_FRAMES = 8
POINTS = np.broadcast_to(frontal_landmarks() + 150.0, (NUM_FRAMES, 68, 2))
TRACK = make_track(POINTS)
CLIP = Clip("talk", 25.0, source_track=TRACK)


@pytest.fixture
def source() -> UInt8Array:
    """A texture that moves a little."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (310, 310, 3), dtype=np.uint8), (0, 0), 4)
    texture = 60 + texture // 2
    return np.stack([texture[i : i + 300, i : i + 300] for i in range(NUM_FRAMES)])


def measure(
    metric: Flicker | Seam, result: UInt8Array, source: UInt8Array, clip: Clip = CLIP, size: int = 3
) -> State:
    meter = metric.start(clip)
    for start in range(0, len(result), size):
        part = slice(start, start + size)
        meter.add(ClipChunk(start, result[part], source=source[part]))
    return meter.finish()


def test_what_moves_as_the_source_does_not_flicker(source: UInt8Array) -> None:
    metric = Flicker()
    assert metric.values(measure(metric, source, source)) == {"flicker": 0, "flicker_ratio": 1}
    brighter = source + np.uint8(20)
    assert metric.values(measure(metric, brighter, source))["flicker"] == 0


def test_flicker_of_brightness_is_its_step(source: UInt8Array) -> None:
    result = source.copy()
    result[1::2] += 4
    found = Flicker().values(measure(Flicker(), result, source))
    assert found["flicker"] == pytest.approx(4)
    assert found["flicker_ratio"] > 1


def test_the_mouth_may_move(source: UInt8Array) -> None:
    result = source.copy()
    low, high = POINTS[0, 48:60].min(axis=0), POINTS[0, 48:60].max(axis=0)
    (x1, y1), (x2, y2) = low.astype(int), high.astype(int)
    result[1::2, y1:y2, x1:x2] = 255
    assert Flicker().values(measure(Flicker(), result, source))["flicker"] == 0


def test_cuts_and_frames_without_a_face_are_left_out(source: UInt8Array) -> None:
    result = source.copy()
    result[4:] += 30  # at the cut
    result[7] += 50  # where no face is
    detected, shots = [True] * 7 + [False], [0] * 4 + [1] * 4
    clip = Clip("cut", 25.0, source_track=make_track(POINTS, detected, shots))
    assert Flicker().values(measure(Flicker(), result, source, clip))["flicker"] == 0
    nobody = Clip("none", 25.0, source_track=make_track(POINTS, [False] * 8))
    with pytest.raises(FaceNotFoundError, match="none: no two frames in a row with a face"):
        measure(Flicker(), result, source, nobody)


def test_a_still_source_has_no_ratio(source: UInt8Array) -> None:
    still = np.broadcast_to(source[:1], source.shape)
    found = Flicker().values(measure(Flicker(), still, still))
    assert found["flicker"] == 0
    assert np.isnan(found["flicker_ratio"])


@pytest.mark.parametrize("height", [12, 40])
def test_a_hard_border_scores_its_step(source: UInt8Array, height: int) -> None:
    result = source.copy()
    result[:, 100:180, 90:200] += np.uint8(height)
    found = Seam().values(measure(Seam(), result, source))["seam"]
    assert 0.95 * height < found <= height  # the filter against specks rounds the corners


def test_a_soft_border_scores_little(source: UInt8Array) -> None:
    mask = np.zeros((300, 300), np.float32)
    mask[100:180, 90:200] = 1
    soft = cv2.GaussianBlur(mask, (0, 0), 9)[..., None]
    result = np.rint(source + 40 * soft).astype(np.uint8)
    assert Seam().values(measure(Seam(), result, source))["seam"] < 2


def test_edges_of_the_source_and_faint_noise_are_no_seam(source: UInt8Array) -> None:
    hard = source.copy()
    hard[:, :, 150:] = 20
    noise = np.random.default_rng(0).integers(0, 3, hard.shape, dtype=np.uint8)
    with pytest.raises(MediaError, match="talk: the result nowhere differs"):
        measure(Seam(), hard + noise, hard)


@pytest.mark.parametrize("metric", [Flicker(), Seam()])
def test_chunks_and_shards_make_no_difference(metric: Flicker | Seam, source: UInt8Array) -> None:
    result = source.copy()
    for number in range(NUM_FRAMES):
        result[number, 80:180, 90:200] += np.uint8(10 + 3 * number)
    whole = metric.values(measure(metric, result, source, size=8))
    assert metric.values(measure(metric, result, source, size=1)) == pytest.approx(
        whole, rel=DOUBLE
    )
    states = [measure(metric, result, source), measure(metric, result[::-1], source[::-1])]
    both = metric.values(functools.reduce(metric.merge, states))
    assert both == pytest.approx(metric.values(metric.merge(*states[::-1])), rel=DOUBLE)
