"""What the lite suite measures, on curves and pictures whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError
from retalking.evaluation.lite.report import LINES, LiteReport
from retalking.evaluation.lite.skin_region import skin_region
from retalking.evaluation.lite.suite import run_lite_suite
from retalking.face.lip_motion import (
    correlate,
    deviation_ratio,
    displacement,
    share_open,
    shift_by_half,
)
from retalking.ibug68 import lip_opening, mouth_width
from tests.rounding import DOUBLE

TURN = 2 * np.pi * np.arange(100) / 100


def make_faces(opening: float, width: float = 60.0) -> np.ndarray:
    """One face ``[1, 68, 3]`` whose eyes are 100 px apart and whose lips are open that wide."""
    points = np.zeros((1, 68, 3), np.float32)
    points[0, 36:42, 0], points[0, 42:48, 0] = 100, 200
    points[0, 36, 0], points[0, 45, 0] = 80, 220
    points[0, 36:42, 0] -= points[0, 36:42, 0].mean() - 100
    points[0, 42:48, 0] -= points[0, 42:48, 0].mean() - 200
    points[0, [61, 62, 63], 1] = 150
    points[0, [67, 66, 65], 1] = 150 + opening
    points[0, 48, 0], points[0, 54, 0] = 150 - width / 2, 150 + width / 2
    return points


def test_opening_and_width_are_in_distances_between_the_eyes() -> None:
    faces = np.concatenate([make_faces(0), make_faces(30, width=80)])
    np.testing.assert_allclose(lip_opening(faces), [0, 0.3], atol=1e-6)
    np.testing.assert_allclose(mouth_width(faces), [0.6, 0.8], atol=1e-6)
    np.testing.assert_allclose(lip_opening(3 * faces + 7), [0, 0.3], atol=1e-6)


def test_turning_the_head_changes_neither() -> None:
    face = make_faces(30)
    turned = face.copy()
    turned[..., 0], turned[..., 2] = 0.6 * face[..., 0], 0.8 * face[..., 0]
    assert lip_opening(turned) == pytest.approx(lip_opening(face), rel=1e-5)
    assert mouth_width(turned) == pytest.approx(mouth_width(face), rel=1e-5)


def test_displacement_leaves_the_mouth_out() -> None:
    source = make_faces(10)
    span = np.linalg.norm(source[0, 45, :2] - source[0, 36, :2])
    moved = source + np.float32([3, 4, 50])
    assert displacement(moved, source) == pytest.approx([5 / span], rel=1e-5)
    speaking = source.copy()
    speaking[:, 48:] += 20
    assert displacement(speaking, source) == pytest.approx([0])


def test_correlation_of_known_curves() -> None:
    sine, cosine = np.sin(TURN), np.cos(TURN)
    assert correlate(3 * sine + 2, sine) == pytest.approx(1)
    assert correlate(-sine, sine) == pytest.approx(-1)
    assert correlate(cosine, sine) == pytest.approx(0, abs=DOUBLE)
    assert correlate(sine + cosine, sine) == pytest.approx(np.sqrt(0.5))
    assert correlate(np.ones(100), sine) == 0


def test_deviation_ratio_ignores_the_mean() -> None:
    assert deviation_ratio(0.6 * np.sin(TURN) + 5, np.sin(TURN)) == pytest.approx(0.6)
    assert deviation_ratio(np.ones(100), np.sin(TURN)) == pytest.approx(0)


def test_share_open_is_0_at_the_most_closed_and_1_at_the_widest() -> None:
    true = np.linspace(0.1, 0.3, 101)
    for percentile, share in ((5, 0), (50, 0.5), (95, 1)):
        assert share_open(np.full(4, np.percentile(true, percentile)), true) == pytest.approx(share)
    assert share_open(np.zeros(4), true) < 0


@pytest.mark.parametrize("frames", [6, 7])
def test_shift_by_half_gives_every_moment_once(frames: int) -> None:
    times_s = np.arange(frames) / 25
    shifted = shift_by_half(times_s)
    assert sorted(shifted) == pytest.approx(times_s)
    assert shifted[0] == times_s[frames // 2]
    assert (np.abs(shifted - times_s) * 25 > frames / 2 - 1.01).all()


def test_shifting_by_half_turns_one_period_around() -> None:
    opening = np.interp(shift_by_half(TURN), TURN, np.sin(TURN))
    assert correlate(opening, np.sin(TURN)) == pytest.approx(-1)


def test_skin_is_in_the_lower_face_but_not_at_the_lips() -> None:
    jaw = np.linspace(np.pi, 0, 17)
    landmarks = np.zeros((2, 68, 2), np.float32)
    landmarks[:, :17] = np.stack([192 + 150 * np.cos(jaw), 190 + 150 * np.sin(jaw)], axis=1)
    landmarks[:, 48:, 0] = np.linspace(150, 230, 20)
    landmarks[0, 48:, 1], landmarks[1, 48:, 1] = 240, 270
    region = skin_region(landmarks)
    assert region[250, 110]
    assert region[290, 192]
    assert not region[240:271, 150:231].any()
    assert not region[:190].any()


def report(**values: float) -> LiteReport:
    return LiteReport({"one": values, "two": values}, {}, ["a note"], {"seconds": 6.0})


def test_the_report_judges_means(tmp_path: Path) -> None:
    clips = {"one": {"lip_gain": 0.1, "flicker": 1.0}, "two": {"lip_gain": 0.4, "flicker": 2.0}}
    found = LiteReport(clips, {}, ["a note"], {"seconds": 6.0})
    assert found.means == pytest.approx({"lip_gain": 0.25, "flicker": 1.5})
    assert not found.passed
    found.save(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "lite.json").read_text())
    assert [(line["name"], line["verdict"]) for line in saved["lines"]] == [
        ("lip_gain", "pass"),
        ("flicker", "miss"),
    ]
    assert saved["clips"] == clips
    table = (tmp_path / "out" / "lite.md").read_text()
    assert "0.100" in table
    assert "a note" in table


GOOD = {
    "opening_drop": 0.7,
    "displacement": 0.03,
    "smile_width": 1.01,
    "lip_correlation": 0.4,
    "lip_gain": 0.25,
    "lip_deviation": 0.6,
    "lower_psnr_db": 26.0,
    "silence_opening": 0.25,
    "flicker": 1.2,
    "sharpness": 0.7,
    "enet_gain_db": 0.01,
}
BAD = {
    "opening_drop": 0.69,
    "displacement": 0.031,
    "smile_width": 1.0,
    "lip_correlation": 0.39,
    "lip_gain": 0.24,
    "lip_deviation": 1.31,
    "lower_psnr_db": 25.9,
    "silence_opening": 0.26,
    "flicker": 1.21,
    "sharpness": 0.69,
    "enet_gain_db": 0.0,
}


def test_every_target_has_a_case() -> None:
    judged = {line.name for line in LINES if line.reaches is not None}
    assert judged == set(GOOD) == set(BAD)
    assert report(**GOOD).passed


@pytest.mark.parametrize("name", sorted(BAD))
def test_one_miss_is_a_miss(name: str) -> None:
    assert not report(**{**GOOD, name: BAD[name]}).passed


def test_a_clip_that_failed_is_named_and_counts() -> None:
    found = LiteReport({"one": GOOD}, {"two": "no face"}, [], {})
    assert not found.passed
    assert "two: not measured: no face" in found.table()


def test_nothing_measured_is_no_pass() -> None:
    found = LiteReport({}, {"two": "no face"}, [], {})
    assert not found.passed
    assert found.table().strip() == "two: not measured: no face"


def test_there_must_be_clips() -> None:
    with pytest.raises(ConfigError, match="no clips"):
        run_lite_suite([])
