"""Contact sheets show the right frame in the right place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.media.images import save_image
from retalking.review.compare import find_faces, read_frames_at
from retalking.review.contact_sheet import draw_contact_sheet, draw_waveform, spread_times
from retalking.types import AudioClip
from tests import media


def plain_frames(colours: list[int], height: int, width: int) -> np.ndarray:
    """One frame per colour, which is unlike paper (255), ink (40) and marks (215)."""
    return np.stack([np.full((height, width, 3), colour, np.uint8) for colour in colours])


def places_of(sheet: np.ndarray, colour: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what has a colour."""
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def test_times_are_the_middles_of_equal_parts() -> None:
    np.testing.assert_allclose(spread_times(4.0, 4), [0.5, 1.5, 2.5, 3.5])


def test_rows_are_videos_and_columns_times() -> None:
    rows = {
        "wide": plain_frames([10, 11, 12], 30, 60),
        "tall": plain_frames([20, 21, 22], 120, 60),
    }
    sheet = draw_contact_sheet(rows, [0.5, 1.5, 2.5], cell_width_px=40)
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    places = np.array([[places_of(sheet, row + column) for column in range(3)] for row in (10, 20)])
    heights, widths = places[..., 1] - places[..., 0], places[..., 3] - places[..., 2]
    assert heights.tolist() == [[20] * 3, [80] * 3]
    assert (widths == 40).all()
    assert (places[0, :, 1] < places[1, :, 0]).all()
    assert (places[:, :-1, 3] < places[:, 1:, 2]).all()
    assert (places[0, :, 2:] == places[1, :, 2:]).all()
    # Under each column there is ink, and none between them.
    below = sheet[places[1, 0, 1] :].min(axis=(0, 2)) < 128
    assert all(below[left:right].any() for left, right in places[0, :, 2:])
    assert not any(below[places[0, i, 3] : places[0, i + 1, 2]].any() for i in range(2))


def test_the_stamp_tells_the_time() -> None:
    rows = {"video": plain_frames([10], 20, 60)}
    stamps = [draw_contact_sheet(rows, [time_s], cell_width_px=60) for time_s in (0.5, 0.5, 0.75)]
    assert np.array_equal(stamps[0], stamps[1])
    assert not np.array_equal(stamps[0], stamps[2])


def test_the_speech_lies_under_its_columns() -> None:
    frames = plain_frames([10, 11, 12, 13], 40, 40)
    samples = np.zeros(16000, np.float32)
    samples[8000:12000] = 0.3  # third quarter
    sheet = draw_contact_sheet({"video": frames}, spread_times(1, 4), AudioClip(samples, 16000), 40)
    silent = draw_contact_sheet(
        {"video": frames}, spread_times(1, 4), AudioClip(np.zeros_like(samples), 16000), 40
    )
    differs = np.flatnonzero((sheet != silent).any(axis=(0, 2)))
    _, _, left, right = places_of(sheet, 12)
    assert abs(differs.min() - left) <= 6
    assert abs(differs.max() - right) <= 6


def test_a_waveform_is_as_high_as_its_sound_is_loud() -> None:
    samples = np.concatenate([np.full(1000, level, np.float32) for level in (0.1, -0.2, 0.4, 0.0)])
    wave = draw_waveform(AudioClip(samples, 1000), np.array([3.5]), 40, 80)
    heights = (wave == (70, 110, 170)).all(axis=2).sum(axis=0)
    assert heights[5:40:10].tolist() == [20, 40, 80, 2]
    assert (wave[0, 35] == 215).all()
    assert (wave[0, 36] == 255).all()


@pytest.mark.parametrize(
    "rows",
    [{}, {"short": np.zeros((1, 8, 8, 3), np.uint8)}, {"float": np.zeros((2, 8, 8, 3))}],
)
def test_rows_that_do_not_fit_are_refused(rows: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"row|expected uint8\[2, H, W, 3\]"):
        draw_contact_sheet(rows, [0.0, 1.0])


def test_no_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw_contact_sheet({"video": np.zeros((0, 8, 8, 3), np.uint8)}, [])


def test_source_frames_are_those_the_job_showed(tmp_path: Path) -> None:
    shown = media.write_video(
        tmp_path / "talk.mkv", 5, codec="ffv1", pixel_format="bgr0", width=32, height=32
    )
    times_s = np.arange(10) / 25 + 0.02  # back and forth: 0 1 2 3 4 3 2 1 0 1
    frames = read_frames_at(tmp_path / "talk.mkv", times_s, "audio")
    np.testing.assert_array_equal(
        frames, np.stack([shown[i] for i in (0, 1, 2, 3, 4, 3, 2, 1, 0, 1)])
    )
    held = read_frames_at(tmp_path / "talk.mkv", times_s[[4, 8]], "hold")
    np.testing.assert_array_equal(held, np.stack([shown[4], shown[4]]))


def test_a_still_image_shows_at_every_time(tmp_path: Path) -> None:
    picture = media.moving_picture(3)
    save_image(tmp_path / "face.png", picture)
    frames = read_frames_at(tmp_path / "face.png", np.array([0.1, 7.0]), "audio")
    np.testing.assert_array_equal(frames, np.stack([picture, picture]))


def test_no_face_gives_no_squares() -> None:
    assert find_faces(plain_frames([60, 90], 96, 96)) == []
