from __future__ import annotations

import numpy as np
import pytest

from retalking.face.crops import lip_anchors, lip_crops
from retalking.mouth.warp.inside import Parting, fill_mouth
from retalking.mouth.warp.lip_measures import measure_lips, meet_lips
from retalking.mouth.warp.lip_window import LipWindow, hide_inside, keep_teeth, look_between
from retalking.mouth.warp.mesh import Box
from retalking.mouth.warp.painting.painted_inside import InsidePainter
from tests.talking import BASIS, talking_points

BOX: Box = (90, 120, 150, 190)


def landmarks(gap: float) -> np.ndarray:
    return talking_points(np.array([gap]), np.zeros(1))[0]


def pixels() -> tuple[np.ndarray, np.ndarray]:
    x1, y1, x2, y2 = BOX
    x, y = np.meshgrid(np.arange(x1, x2, dtype=float), np.arange(y1, y2, dtype=float))
    return x, y


def test_windows_go_there_and_back() -> None:
    window = LipWindow.of(landmarks(0.3)[:, :2])
    x, y = pixels()
    again = window.place(*window.locate(x, y))
    np.testing.assert_allclose(again, (x, y), atol=1e-9)


@pytest.mark.parametrize(("lent", "wanted"), [(0.4, 0.25), (0.25, 0.4)])
def test_teeth_keep_their_size(lent: float, wanted: float) -> None:
    """Near either lip the picture moves with it; what gives way is in the middle."""
    goal, lender = (LipWindow.of(landmarks(gap)[:, :2]) for gap in (wanted, lent))
    column = np.full((200, 1), goal.length / 2)
    upper, lower = goal.heights(column)
    down = upper + np.linspace(0, 1, 200)[:, None] * (lower - upper)
    gap = look_between(goal, *goal.place(column, down))
    _, theirs = lender.locate(*(v.astype(float) for v in keep_teeth(gap, goal, lender, 1.0)))
    slope = np.diff(theirs[:, 0]) / np.diff(down[:, 0])
    assert slope[0] == pytest.approx(1, abs=0.1)
    assert slope[-1] == pytest.approx(1, abs=0.1)
    assert (slope > 0).all()
    their_upper, their_lower = (float(h[0, 0]) for h in lender.heights(column[:1]))
    assert theirs[0, 0] == pytest.approx(their_upper, abs=0.15)
    assert theirs[-1, 0] == pytest.approx(their_lower, abs=0.15)


def test_lips_that_meet_show_no_teeth() -> None:
    goal, lender = (LipWindow.of(landmarks(gap)[:, :2]) for gap in (0.0, 0.4))
    x, y = pixels()
    gap = look_between(goal, x, y)
    x, y = hide_inside(gap, lender, x.astype(np.float32), y.astype(np.float32), 1.0)
    shown = look_between(lender, x.astype(float), y.astype(float))
    assert shown.within.max() < 1e-3


def test_a_closed_smile_is_closed_everywhere() -> None:
    smile = BASIS.mean_shape.astype(np.float64)
    smile[[61, 63], 1] -= 0.06
    smile[[67, 65], 1] += 0.06
    smile[66, 1] -= 0.2  # the middle alone closes, and passes through
    met = meet_lips(smile)
    gaps = met[[67, 66, 65], 1] - met[[61, 62, 63], 1]
    assert np.abs(gaps).max() < 0.03
    assert measure_lips(met)[0] >= 0
    open_lips = smile.copy()
    open_lips[[65, 66, 67], 1] += 0.3
    found, wanted = measure_lips(meet_lips(open_lips)), measure_lips(open_lips)
    np.testing.assert_allclose(found, wanted, atol=0.02)


def fill(lent: float, wanted: float) -> np.ndarray:
    goal = landmarks(wanted)
    scale = 1 / np.sqrt(abs(np.linalg.det(lip_crops(lip_anchors(goal[None, :, :2]))[0, :, :2])))
    mouth = np.full((BOX[3] - BOX[1], BOX[2] - BOX[0], 3), (200, 160, 140), np.float32)
    fill_mouth(
        mouth, goal, Parting(lent, wanted), BOX, float(scale), 38.0, InsidePainter.from_file()
    )
    return mouth


def test_closed_lenders_get_a_painted_inside() -> None:
    mouth = fill(0.0, 0.4)
    window = LipWindow.of(landmarks(0.4)[:, :2])
    x, y = pixels()
    gap = look_between(window, x, y)
    inside = mouth[gap.within > 2]
    teeth = mouth[(gap.within > 1) & (gap.below_upper < 3) & (np.abs(x - 120) < 5)]
    assert inside.mean() < 0.75 * 166
    assert teeth.mean() > inside.mean() + 15
    assert (mouth[gap.within < -1] == np.float32((200, 160, 140))).all()


def test_open_lenders_show_their_own_inside() -> None:
    assert (fill(0.35, 0.4) == fill(0.35, 0.35)).all()
    assert Parting(0.35, 0.4).emptiness == 0
    assert Parting(0.0, 0.0).emptiness == 0
    assert Parting(0.0, 0.0).closure == 0
    assert Parting(0.4, 0.0).closure == 1
