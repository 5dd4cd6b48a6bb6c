"""The outside judge's figures, on curves and pictures whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.errors import FaceNotFoundError
from retalking.evaluation.judge import measures
from retalking.evaluation.judge.judges import Sight
from retalking.evaluation.judge.mouths import (
    FACE_PX,
    Mouths,
    beside_mouth,
    face_matrices,
    mouth_matrix,
)
from tests.rounding import DOUBLE

TURN = 2 * np.pi * np.arange(100) / 100
SINE, COSINE = np.sin(TURN), np.cos(TURN)


def make_sight(opening: np.ndarray, width: np.ndarray | None = None, rate: float = 25.0) -> Sight:
    """What a judge sees whose points are one, numbered by frame."""
    count = len(opening)
    points = np.broadcast_to(np.arange(count, dtype=np.float32)[:, None, None], (count, 1, 2))
    shapes = {"opening": opening, "width": opening if width is None else width}
    return Sight(np.arange(count) / rate, shapes, points.copy())


def test_a_dub_that_mixes_new_and_old_lips_follows_and_leaks_by_its_shares() -> None:
    new, old = make_sight(SINE, COSINE), make_sight(COSINE, SINE)
    made = make_sight(5 + 0.3 * SINE + 0.4 * COSINE, -COSINE)
    found = measures.follow_and_leak(made, new, old, "2")
    assert found["follow2_opening"] == pytest.approx(0.6)
    assert found["leak2_opening"] == pytest.approx(0.8)
    assert found["follow2_width"] == pytest.approx(-1)
    assert found["leak2_width"] == pytest.approx(0, abs=DOUBLE)


def test_chance_is_what_old_and_new_lips_share() -> None:
    found = measures.explain(make_sight(2 * SINE), make_sight(SINE), make_sight(COSINE + SINE))
    assert found["chance"] == pytest.approx(np.sqrt(0.5))
    assert found["spread_opening"] == pytest.approx(2)


def test_closures_count_frames_in_which_the_true_lips_are_closed() -> None:
    true = np.array([0.0, 0.005, 0.02, 0.004, 0.0])
    made = np.array([0.011, 0.013, 0.0, 0.001, 0.5])
    assert measures.closures_found(made, true) == pytest.approx(0.5)
    assert measures.closures_found(made, true + 0.1) is None
    assert "closures" not in measures.compare(make_sight(made), make_sight(true + 0.1))


def test_comparison_with_the_truth() -> None:
    found = measures.compare(make_sight(0.5 * SINE, 3 * COSINE), make_sight(SINE, COSINE))
    assert found["r_opening"] == pytest.approx(1)
    assert found["spread_opening"] == pytest.approx(0.5)
    assert found["spread_width"] == pytest.approx(3)


def test_sights_are_lined_up_in_time_and_without_lost_faces() -> None:
    made, other = make_sight(np.arange(8.0)), make_sight(np.arange(16.0), rate=50.0)
    made.points[3] = np.nan
    other.points[10] = np.nan
    made, other = measures.line_up(made, other)
    np.testing.assert_array_equal(made.shapes["opening"], [0, 1, 2, 4, 6, 7])
    np.testing.assert_array_equal(other.shapes["opening"], [0, 2, 4, 8, 12, 14])


def test_a_dub_without_a_face_is_no_dub() -> None:
    made = make_sight(SINE)
    made.points[:60] = np.nan
    with pytest.raises(FaceNotFoundError, match="40 of 100"):
        measures.line_up(made, make_sight(SINE))


def test_sharpness_is_that_of_the_truth_at_1() -> None:
    stripes = np.zeros((2, 8, 8, 3), np.uint8)
    stripes[:, :, ::2] = 100
    assert Mouths(stripes, stripes // 2, 1.0).sharpness == pytest.approx(0.5)


def make_mesh() -> np.ndarray:
    """A face of 200 px as 478 points in which only those that are used have a place."""
    mesh = np.full((478, 2), 200.0, np.float32)
    mesh[10], mesh[152], mesh[2] = (200, 100), (200, 300), (200, 220)
    mesh[[61, 291]] = (170, 250), (230, 250)
    mesh[[0, 37, 267, 13]] = (200, 240)
    mesh[[17, 84, 314, 14]] = (200, 262)
    mesh[[234, 454, 172, 397]] = (120, 225), (280, 225), (140, 270), (260, 270)
    return mesh


def test_the_mouth_is_in_the_middle_of_its_crop() -> None:
    matrix = mouth_matrix(make_mesh())
    corners = make_mesh()[[61, 291]] @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(corners.mean(axis=0), [48, 48], atol=1)
    # Half a side is 0.75 of the mouth's width (60 px) and a twentieth of the face (200 px).
    np.testing.assert_allclose(np.diff(corners[:, 0]), 60 * 48 / 55, rtol=1e-5)


def test_skin_beside_the_mouth_is_the_lower_face_without_lips() -> None:
    points = np.stack([make_mesh()] * 3)
    matrices = face_matrices(points)
    region = beside_mouth(points, matrices)
    assert region.shape == (FACE_PX, FACE_PX)

    def holds(x: float, y: float) -> bool:
        column, row = np.rint(matrices[0] @ [x, y, 1]).astype(int)
        return bool(region[row, column])

    assert holds(150, 250)
    assert holds(200, 285)
    assert not holds(200, 250)  # lips
    assert not holds(200, 200)  # nose
    assert not holds(110, 290)  # beside the face
