from __future__ import annotations

import numpy as np

from retalking.ibug68 import MOUTH_CORNERS
from retalking.mouth.warp.lip_measures import (
    OPENING,
    PUCKER,
    WIDTH,
    differentiate_measures,
    measure_lips,
)
from tests.talking import BASIS

FACE = BASIS.mean_shape.astype(np.float64)


def test_lips_turned_outward_show_more_red() -> None:
    pursed = FACE.copy()
    pursed[[50, 51, 52], 1] -= 0.02
    pursed[[56, 57, 58], 1] += 0.03
    change = measure_lips(pursed) - measure_lips(FACE)
    np.testing.assert_allclose(change[[OPENING, WIDTH, PUCKER]], [0, 0, 0.05], atol=1e-12)


def test_lips_that_open_show_no_more_red() -> None:
    opened = FACE.copy()
    opened[[*range(55, 60), *range(65, 68)], 1] += 0.1
    change = measure_lips(opened) - measure_lips(FACE)
    np.testing.assert_allclose(change[[OPENING, PUCKER]], [0.1, 0], atol=1e-12)


def test_slopes_are_those_of_small_changes() -> None:
    moved = FACE.copy()
    moved[MOUTH_CORNERS[0], 0] -= 1e-3
    moved[66, 1] += 1e-3
    expected = differentiate_measures(FACE) @ (moved - FACE).reshape(-1)
    # Second-order terms are a thousandth of the change.
    np.testing.assert_allclose(measure_lips(moved) - measure_lips(FACE), expected, atol=3e-6)
