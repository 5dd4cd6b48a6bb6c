"""Where one shot ends and the next begins."""

from __future__ import annotations

import cv2
import numpy as np

from retalking.face.shots import split_frames
from tests.unit.face.stage import chunked


def shots_of(frames):
    return [frame.number for frame in split_frames(chunked(frames, 4)) if frame.is_cut]


def texture(seed, height=180, width=640):
    coarse = np.random.default_rng(seed).integers(0, 255, (18, width // 10, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def test_cut_is_found_at_its_frame():
    first, second = texture(0, width=320), texture(1, width=320)
    assert shots_of([first] * 9 + [second] * 9) == [9]
    assert shots_of([first] * 9 + [second]) == [9]


def test_every_frame_comes_once_and_in_order():
    frames = [np.full((20, 20, 3), number, np.uint8) for number in range(11)]
    for chunk in (1, 4, 11):
        out = list(split_frames(chunked(frames, chunk)))
        assert [frame.number for frame in out] == list(range(11))
        assert [int(frame.picture.whole()[0, 0, 0]) for frame in out] == list(range(11))
    assert list(split_frames([])) == []


def test_pan_is_no_cut():
    wide = texture(2)
    assert shots_of([wide[:, 8 * n : 8 * n + 320] for n in range(30)]) == []


def test_flash_is_no_cut():
    view = texture(3, width=320)
    flash = np.clip(view.astype(int) * 0.2 + 220, 0, 255).astype(np.uint8)
    white = np.full_like(view, 255)
    for bright in (flash, white):
        assert shots_of([view] * 10 + [bright] + [view] * 10) == []


def test_fade_through_black_is_at_most_one_cut():
    first, second = texture(4, width=320), texture(5, width=320)
    out = [(first * (1 - k / 12)).astype(np.uint8) for k in range(13)]
    back = [(second * (k / 12)).astype(np.uint8) for k in range(13)]
    assert len(shots_of([first] * 5 + out + back + [second] * 5)) <= 1
