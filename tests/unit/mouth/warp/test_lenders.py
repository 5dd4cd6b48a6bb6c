"""Which frames lend their mouths."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from retalking.face.crops import LIP_PX
from retalking.media.memory import MOUTHS_BYTES
from retalking.mouth.warp.lending.candidates import (
    MOST_PER_SHOT,
    shares_of_shots,
    spread_candidates,
)
from retalking.mouth.warp.lending.lender_plan import choose_lenders, fade_jumps
from retalking.mouth.warp.lending.lenders import Lenders, find_flaws, read_lenders
from retalking.mouth.warp.visibility import UsualFace, uncover
from tests.talking import DrawnSource, draw, openings, talking_points, turns

FRAMES = np.array([3, 4, 5, 9])


MOVES = np.stack([turns(20, 3.0), openings(20)], axis=1)


def total(costs: np.ndarray, path: tuple[int, ...], jump: float) -> float:
    steps = np.abs(np.diff(FRAMES[list(path)]))
    return float(costs[np.arange(len(path)), list(path)].sum() + jump * (steps > 1).sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_sequence_is_the_cheapest_of_all(seed: int) -> None:
    costs = np.random.default_rng(seed).uniform(0, 0.3, (5, 4))
    found = choose_lenders(costs, FRAMES, 0.1)
    every = itertools.product(range(4), repeat=5)
    assert total(costs, tuple(found), 0.1) == pytest.approx(
        min(total(costs, path, 0.1) for path in every)
    )


def test_a_lender_goes_on_rather_than_jumps() -> None:
    costs = np.full((3, 4), 0.01)
    costs[0, 0] = costs[1, 1] = costs[2, 2] = 0.0
    costs[:2, 3], costs[2, 3] = 0.2, -0.04  # not worth a jump
    assert choose_lenders(costs, FRAMES, 0.05).tolist() == [0, 1, 2]


def test_an_hour_needs_two_bytes_for_a_candidate_and_a_frame() -> None:
    count, candidates = 1500, 300
    random = np.random.default_rng(0)
    tracemalloc.start()
    choose_lenders((random.random(candidates) for _ in range(count)), np.arange(candidates))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * count * candidates


def test_former_mouths_fade_out_within_their_run() -> None:
    lender = np.array([5, 6, 20, 21, 22, 40, 41])
    run = np.array([0, 0, 0, 0, 0, 1, 1])
    plan = fade_jumps(lender, run)
    assert (plan.former_share > 0).tolist() == [False, False, True, True, False, False, False]
    assert plan.former[2:4].tolist() == [6, 6]
    assert plan.former_share[2] > plan.former_share[3]


def test_candidates_of_long_videos_take_bounded_memory() -> None:
    counts = np.array([90_000, 40, 5_000] * 20)
    sizes = np.full(60, 350_000.0)  # mouths of 4K video
    shares = shares_of_shots(counts, sizes)
    assert (shares * sizes).sum() <= MOUTHS_BYTES
    assert shares.min() >= 1
    assert shares_of_shots(np.array([90_000]), np.array([60_000.0])).tolist() == [MOST_PER_SHOT]


def test_candidates_are_spread_in_runs() -> None:
    rng = np.random.default_rng(0)
    frames = np.arange(100, 2100)
    features = rng.normal(0, 0.01, (2000, 3))
    features[1500:1512] += 5.0  # a rare pose
    kept = spread_candidates(frames, features, 60)
    assert len(kept) <= 60
    assert (np.diff(kept) > 0).all()
    assert np.isin(kept, frames[1500:1512]).any()
    assert (np.diff(kept) == 1).mean() > 0.7
    assert spread_candidates(frames[:50], features[:50], 60).tolist() == frames[:50].tolist()


def lenders_of(pictures: list[np.ndarray], points: np.ndarray) -> Lenders:
    to_lips = np.repeat(np.array([[[2.0, 0, -48.0], [0, 2.0, -60.0]]]), len(points), axis=0)
    source = DrawnSource(pictures)
    pts = np.arange(len(points)) * 40
    return read_lenders(source, pts, points[..., :2], to_lips, np.arange(len(points)))  # type: ignore[arg-type]


def usual_face(glances: np.ndarray) -> UsualFace:
    area = np.zeros((LIP_PX, LIP_PX), np.float32)
    area[200:370, 90:290] = 1
    found = UsualFace.of(glances, MOVES, area)
    assert found is not None
    return found


def test_hidden_and_blurred_mouths_are_found() -> None:
    points = talking_points(openings(20), turns(20, 3.0))
    pictures = [draw(p, 1 + 0.2 * (k % 2)) for k, p in enumerate(points)]  # light that changes
    pictures[7][110:220, 60:125] = (20, 20, 20)  # a hand over half the face
    pictures[12][:] = pictures[12].mean((0, 1)).astype(np.uint8)
    lenders = lenders_of(pictures, points)
    flaws = find_flaws(lenders, MOVES, usual_face(lenders.glances))
    assert np.delete(flaws, [7, 12]).max() < 0.1
    assert flaws[7] > 1
    assert flaws[12] > 0.5


def test_what_lies_in_front_stays_in_front() -> None:
    points = talking_points(openings(20), turns(20, 3.0))
    pictures = [draw(p) for p in points]
    usual = usual_face(lenders_of(pictures, points).glances)
    hidden = pictures[3].copy()
    hidden[150:220, 100:125] = (20, 20, 20)
    before, after = (
        usual.find_strange(lenders_of([p], points[3:4]).glances[0], MOVES[3])
        for p in (pictures[3], hidden)
    )
    assert not before.any()
    area = np.ones((LIP_PX, LIP_PX), np.float32)
    left = uncover(area, after)
    # In the lip crop the hand is at x 152..202 and y 240..380.
    assert left[264:366, 164:190].max() < 0.15
    assert left[:, :100].min() == 1
    assert uncover(area, before) is area
    everyone = lenders_of(pictures, points).glances
    assert not any(usual.find_strange(*pair).any() for pair in zip(everyone, MOVES, strict=True))


def test_mouths_at_the_border_are_cut_off() -> None:
    points = talking_points(openings(1), turns(1))
    points[..., 0] -= 110
    mouth = lenders_of([draw(points[0])], points).mouths[0]
    assert mouth.origin[0] == 0
    assert mouth.rgb.size > 0
