"""Figures of lips that follow, lag, freeze, or go on with the old words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retalking.review.figures import measure, semipartial_correlation
from retalking.review.findings import RULES, Finding, judge
from retalking.review.sight import Lips, Sight
from retalking.speech.lip_shapes import LipShapes

N, RATE = 200, 25.0


def curve(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=N + 8)
    return np.convolve(noise, np.ones(9) / 3, mode="valid")


def heard(words: np.ndarray, speaking: np.ndarray | None = None) -> LipShapes:
    values = np.tile(words[:, None], 5).astype(np.float32)
    spoken = np.ones(N) if speaking is None else speaking
    ones = np.ones((N, 5), np.float32)
    return LipShapes(np.arange(N) / RATE, values, ones, spoken.astype(np.float32))


def sight(made: np.ndarray, old: np.ndarray) -> Sight:
    no = np.zeros(N, np.bool_)
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    made, old = 0.2 + 0.05 * made, 0.2 + 0.05 * old
    return Sight(
        Lips(made, made), Lips(old, old), ~no, no, 1.0, {}, {}, (picture, picture), np.zeros(1)
    )


def figures(made: np.ndarray, old: np.ndarray, words: np.ndarray) -> dict[str, float]:
    return measure(sight(made, old), heard(words), np.ones(N, np.bool_), RATE)


def troubles(found: dict[str, float]) -> set[str]:
    return {finding.rule.name for finding in judge(found) if not finding.is_good}


def test_lips_that_follow_are_in_every_range() -> None:
    words, old = curve(1), curve(2)
    found = figures(0.9 * words + 0.3 * curve(3), old, words)
    assert troubles(found) == set()
    assert found["follow"] > 0.9
    assert found["late_ms"] == 0


@pytest.mark.parametrize("frames", [-8, -3, 3, 8])
def test_lips_out_of_step_are_found_with_their_sign(frames: int) -> None:
    words = curve(1)
    found = figures(np.roll(words, frames), curve(2), words)
    assert found["late_ms"] == frames * 40
    assert troubles(found) == {"late_ms"}


def test_a_frozen_mouth_is_found_and_its_lag_is_not_guessed() -> None:
    found = figures(0.02 * curve(3), curve(2), curve(1))
    assert {"motion", "follow"} <= troubles(found)
    assert "late_ms" not in found


def test_old_words_are_found_and_chance_likeness_of_the_words_is_not() -> None:
    words, old = curve(1), curve(2)
    assert "leak" in troubles(figures(0.5 * words + old, old, words))
    alike = 0.8 * words + 0.6 * old  # the old words were like the new ones
    assert "leak" not in troubles(figures(words + 0.2 * curve(3), alike, words))


def test_a_mouth_open_in_silence_is_found() -> None:
    words, speaking = curve(1), np.ones(N)
    speaking[60:140] = 0
    closed, gaping = words.copy(), words.copy()
    closed[60:140], gaping[60:140] = words.min(), words.max()
    every = np.ones(N, np.bool_)
    good = measure(sight(closed, curve(2)), heard(words, speaking), every, RATE)
    bad = measure(sight(gaping, curve(2)), heard(words, speaking), every, RATE)
    assert "open_in_silence" not in troubles(good)
    assert "open_in_silence" in troubles(bad)


def test_a_doubtful_expert_tells_no_offset_and_nan_is_no_figure() -> None:
    every = np.ones(N, np.bool_)
    values = {"expert_lse_c": 0.012, "expert_av_offset": 9.0, "flicker_ratio": float("nan")}
    seen = dataclasses.replace(sight(curve(1), curve(2)), values=values)
    found = measure(seen, heard(curve(1)), every, RATE)
    assert not {"expert_late_ms", "flicker_ratio"} & set(found)
    sure = dataclasses.replace(seen, values=values | {"expert_lse_c": 0.1})
    assert measure(sure, heard(curve(1)), every, RATE)["expert_late_ms"] == 360


def test_nothing_edited_is_said_so() -> None:
    none = np.zeros(N, np.bool_)
    unseen = dataclasses.replace(sight(curve(1), curve(2)), found=none)
    assert troubles(measure(unseen, heard(curve(1)), none, RATE)) == {"edited"}


def test_semipartial_correlation_is_the_share_that_only_the_other_accounts_for() -> None:
    a, b, c = curve(1), curve(2), curve(3)
    assert abs(semipartial_correlation(a + c, b + c, c)) < 0.35  # about 22 independent samples
    assert semipartial_correlation(a, a + c, c) > 0.9
    assert semipartial_correlation(a, c, c) == 0.0


def test_a_remnant_beside_lips_that_follow_is_no_leak() -> None:
    """One clip's lips followed at 0.97; half of the rest went with its head, and was called one."""
    words, old = curve(1), curve(2)
    assert semipartial_correlation(words + 0.15 * old, old, words) < 0.3
    assert semipartial_correlation(0.15 * old, old, words) > 0.9


def test_every_rule_has_a_range_and_writes_its_sentence() -> None:
    for rule in RULES:
        assert np.isfinite(rule.low) or np.isfinite(rule.high)
        bad = rule.high + 1 if np.isfinite(rule.high) else rule.low - 1
        finding = Finding(rule, bad)
        assert not finding.is_good
        assert rule.write(bad) in finding.sentence
        assert rule.advice in finding.sentence
        assert rule.wanted


def test_a_clip_shorter_than_a_pause_is_measured() -> None:
    words = curve(1)[:4]
    shapes = heard(curve(1)).at(np.arange(4) / RATE)
    some = slice(0, 4)
    seen = sight(curve(1), curve(2))
    short = dataclasses.replace(
        seen,
        made=Lips(seen.made.opening[some], seen.made.width[some]),
        old=Lips(seen.old.opening[some], seen.old.width[some]),
        found=seen.found[some],
        hidden=seen.hidden[some],
    )
    assert set(measure(short, shapes, np.ones(len(words), np.bool_), RATE)) == {
        "edited",
        "hidden",
        "sharpness",
    }
