"""Which passages a preview shows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from retalking.inference.preview import choose_passages, head_turn
from retalking.types import AudioClip

RATE = 8000


def speech(seconds: float, loud_s: float) -> AudioClip:
    samples = np.random.default_rng(0).normal(0, 0.01, round(seconds * RATE)).astype(np.float32)
    samples[round(loud_s * RATE) : round((loud_s + 1) * RATE)] *= 30
    return AudioClip(samples, RATE)


def test_start_loudest_and_most_turned_in_the_order_of_time() -> None:
    seen = np.arange(0, 60, 0.5)
    turned = np.where((seen >= 20) & (seen < 21), 0.8, 0.1)
    passages = choose_passages(speech(60, 40), 60, seen, turned)
    assert [passage.reason for passage in passages] == ["start", "head turned most", "loudest"]
    start, far, loud = passages
    assert start.start_s == 0
    assert far.start_s <= 20 < far.stop_s
    assert 40 - 1 < loud.start_s < 41
    assert loud.stop_s > 40
    for before, after in itertools.pairwise(passages):
        assert before.stop_s <= after.start_s
    total = sum(passage.stop_s - passage.start_s for passage in passages)
    assert total <= 3 * 60 / 50 + 1e-9


@pytest.mark.parametrize("moment", [5.0, 30.0, 54.0])
def test_passages_never_overlap_where_both_wishes_meet(moment: float) -> None:
    seen = np.arange(0, 60, 0.5)
    turned = np.exp(-((seen - moment) ** 2))
    passages = choose_passages(speech(60, moment), 60, seen, turned)
    assert len(passages) == 3
    for before, after in itertools.pairwise(passages):
        assert before.stop_s <= after.start_s


def test_a_photograph_has_two_and_a_short_job_is_taken_whole() -> None:
    once = np.zeros(1)
    assert len(choose_passages(speech(30, 12), 30, once, once)) == 2
    (whole,) = choose_passages(speech(2, 1), 2, once, once)
    assert (whole.start_s, whole.stop_s) == (0, 2)


def test_a_head_is_turned_as_far_to_either_side() -> None:
    face = np.zeros((68, 3), np.float32)
    face[36], face[45] = (100, 50, 0), (160, 52, 0)
    assert head_turn(face) == 0
    face[45, 2] = 30
    right = head_turn(face)
    face[45, 2] = -30
    assert head_turn(face) == pytest.approx(right)
    assert right == pytest.approx(0.5, rel=0.01)
