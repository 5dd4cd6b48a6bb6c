"""What the cells show: the mark stays, the face's own movements do not."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.trust.payload_code import PUBLIC_KEY
from retalking.trust.picture.cells import OFFSETS, CellReader
from retalking.trust.picture.pattern import GRID_PX, Pattern, picture_code

RATE, COUNT = 25, 100
IN_PLACE = np.eye(2, 3)
IN_FRONT = slice(GRID_PX // 2, None)


def skin(shift_px: float = 0.0) -> np.ndarray:
    """A frame that is a small crop: shades and wrinkles, moved to the right."""
    y, x = np.mgrid[:GRID_PX, :GRID_PX].astype(np.float64)
    x -= shift_px
    light = 130 + 35 * np.sin(x / 7) * np.cos(y / 9) + 12 * np.sin(x / 2.6 + y / 5)
    return np.repeat(light[..., None], 3, axis=2)


def read(frames: np.ndarray) -> np.ndarray:
    reader = CellReader()
    for number, frame in enumerate(frames):
        reader.add(np.rint(frame).astype(np.uint8), IN_PLACE, number / RATE)
    return reader.finish()


def test_skin_that_moves_changes_cells_little() -> None:
    shifts = np.random.default_rng(0).normal(0, 1.0, COUNT)
    still = read(np.stack([skin()] * COUNT))
    moved = read(np.stack([skin(shift) for shift in shifts])) - still
    # Without the flow these cells change by 2.9 levels.
    assert np.square(moved[:, 0]).mean() < 0.8**2


def test_most_of_the_mark_stays() -> None:
    pattern = Pattern(picture_code(PUBLIC_KEY), 5)
    marks = np.stack(
        [pattern.at(number / RATE) for number in range(60)]
    )  # a level, as codecs leave
    plain = np.stack([skin()] * 60)
    shown = read(plain + marks[..., None])[:, 0].astype(np.float64) - read(plain)[:, 0]
    drawn = marks[:, 4::8, 4::8][:, 6:].reshape(60, -1)  # the middles of its cells
    kept = (shown * drawn).sum() / np.sqrt(np.square(shown).sum() * np.square(drawn).sum())
    assert kept > 0.85
    assert np.square(shown).mean() > 0.5**2 * np.square(drawn).mean()


def test_every_frame_is_read_once_whatever_their_number() -> None:
    for count in (0, 1, 5, 40):
        assert read(np.stack([skin()] * count) if count else np.zeros((0, 1, 1, 3))).shape == (
            count,
            len(OFFSETS),
            72,
        )


def test_only_what_is_near_in_time_is_compared() -> None:
    frames = np.stack([skin()] * 30 + [skin(9.0)] * 30)
    apart = read(np.stack([skin()] * 30))
    np.testing.assert_array_equal(read(frames)[:14], apart[:14])
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(read(frames)[16:30], apart[16:])
