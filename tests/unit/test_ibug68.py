"""The landmarks' order and what is measured on them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from retalking import ibug68
from retalking.ibug68 import (
    BESIDE_MOUTH,
    BROWS,
    CHIN,
    CHIN_TIP,
    EYES,
    INNER_LIPS,
    JAW,
    LEFT_EYE,
    MIRRORED,
    MOUTH,
    MOUTH_CORNERS,
    NOSE,
    OUTER_EYE_CORNERS,
    OUTER_LIPS,
    RIGHT_EYE,
    eye_centers,
    five_points,
    five_points_by_corners,
    lip_opening,
    mouth_width,
)
from tests.faces import frontal_landmarks

REPOSITORY = Path(__file__).resolve().parents[2]


def spatial_face(gap: float, eye_distance_px: float = 60.0) -> np.ndarray:
    """A face whose lips are ``gap`` eye distances apart at all three pairs; float64 [68, 3]."""
    points = np.concatenate([frontal_landmarks(eye_distance_px), np.zeros((68, 1))], axis=1)
    points[61:64, 1], points[65:68, 1] = 70, 70 + gap * eye_distance_px
    points[65:68, 0] = points[[63, 62, 61], 0]
    return points


def test_every_point_belongs_to_one_part() -> None:
    everything = np.arange(68)
    parts = [everything[part] for part in (JAW, BROWS, NOSE, EYES, OUTER_LIPS, INNER_LIPS)]
    np.testing.assert_array_equal(np.concatenate(parts), everything)
    halves = [everything[part] for part in (BESIDE_MOUTH, MOUTH)]
    np.testing.assert_array_equal(np.concatenate(halves), everything)
    assert CHIN_TIP in everything[CHIN]


def test_the_right_eye_is_left_in_the_picture() -> None:
    points = frontal_landmarks()
    (right, left), corners = eye_centers(points), points[list(OUTER_EYE_CORNERS), 0]
    assert right[0] < 0 < left[0]
    assert corners[0] < right[0] < left[0] < corners[1]
    assert points[MOUTH_CORNERS[0], 0] < points[MOUTH_CORNERS[1], 0]


def test_mirroring_twice_changes_nothing_and_once_swaps_the_eyes() -> None:
    mirrored = np.array(MIRRORED)
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(68))
    assert set(mirrored[RIGHT_EYE]) == set(range(68)[LEFT_EYE])
    np.testing.assert_allclose(
        frontal_landmarks()[mirrored] * (-1, 1), frontal_landmarks(), atol=1e-9
    )


def test_five_points_are_eyes_nose_and_mouth_corners() -> None:
    points = np.zeros((2, 68, 2), np.float32)
    points[1, [36, 39]] = [(1, 2), (3, 4)]
    points[1, [42, 45]] = [(5, 6), (9, 8)]
    points[1, [30, 48, 54]] = [(10, 11), (12, 13), (14, 15)]
    points[1, [37, 38, 40, 41]] = [(2, 0), (2, 0), (2, 6), (2, 6)]
    rest = [(10, 11), (12, 13), (14, 15)]
    reduced = five_points_by_corners(points)
    assert reduced.dtype == np.float32
    np.testing.assert_array_equal(reduced[1], [(2, 3), (7, 7), *rest])
    for centred in (five_points(points), five_points(torch.from_numpy(points)).numpy()):
        assert centred.shape == (2, 5, 2)
        np.testing.assert_allclose(centred[1, [0, 2, 3, 4]], [(2, 3), *rest], rtol=1e-6)
        np.testing.assert_allclose(centred[1, 1], (14 / 6, 14 / 6), rtol=1e-6)


@pytest.mark.parametrize("gap", [0.0, 0.1, 0.4])
def test_opening_is_in_distances_of_the_eyes_whatever_size_and_turn(gap: float) -> None:
    face = spatial_face(gap)
    turned = face @ np.array([[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]])
    for points in (face, 3 * face + 7, turned, face[:, :2]):
        assert lip_opening(points) == pytest.approx(gap, abs=1e-6)
    assert mouth_width(face) == pytest.approx(0.8)


def test_torch_measures_as_numpy_does() -> None:
    points = torch.randn(5, 4, 68, 3, generator=torch.Generator().manual_seed(0)) * 10
    for measure in (lip_opening, mouth_width):
        got, expected = measure(points), measure(points.numpy())
        assert got.shape == (5, 4)
        assert expected.dtype == np.float32
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)  # orders of summation


def test_closed_lips_have_a_finite_gradient() -> None:
    points = torch.zeros(1, 68, 3)
    points[:, LEFT_EYE] = torch.tensor([10.0, 0, 0])
    points.requires_grad_()
    lip_opening(points).sum().backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()


def test_the_leaf_imports_neither_torch_nor_anything_of_ours() -> None:
    code = "import sys, retalking.ibug68; print(*(m for m in sys.modules if m == 'torch' or "
    code += "m.split('.')[0] in ('models', 'losses', 'datasets', 'third_party', 'retalking')))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) == {"retalking", "retalking.ibug68"}


def test_no_other_file_counts_landmarks() -> None:
    span = r"(?:36\W{1,2}4[28]|42\W{1,2}48|48\W{1,2}6[08]|60\W{1,2}68|27\W{1,2}3[16])"
    counted = re.compile(rf"slice\({span}\)|\[[^]\n]*\b{span.replace('W{1,2}', 's?:')}|\[48:[],]")
    folders = ("models", "losses", "datasets", "retalking", "scripts")
    files = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    own = {Path(ibug68.__file__), REPOSITORY / "scripts/judge/watch.py"}  # an environment apart
    files = [path for path in [*files, *REPOSITORY.glob("*.py")] if path not in own]
    wrong = [
        str(path.relative_to(REPOSITORY)) for path in files if counted.search(path.read_text())
    ]
    assert wrong == []
