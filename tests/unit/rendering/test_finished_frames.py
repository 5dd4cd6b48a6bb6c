from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from retalking.rendering.finished_frames import FinishedChunk, FinishedFrames


def edited(source: np.ndarray) -> FinishedChunk:
    rgb = source.copy()
    rgb[0, 3:7, 2:9] = np.random.default_rng(1).integers(0, 256, (4, 7, 3))
    return FinishedChunk(rgb, np.arange(len(rgb) * 6, dtype=np.float64).reshape(-1, 3, 2) / 7)


@pytest.fixture
def source() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)


def test_a_chunk_comes_back_exactly(tmp_path: Path, source: np.ndarray) -> None:
    frames, chunk = FinishedFrames(tmp_path / "job"), edited(source)
    assert frames.load(16, source) is None
    frames.save(16, source, chunk)
    assert frames.load(0, source) is None
    again = frames.load(16, source)
    assert again is not None
    np.testing.assert_array_equal(again.rgb, chunk.rgb)
    np.testing.assert_array_equal(again.drift_px, chunk.drift_px)
    assert not np.shares_memory(again.rgb, source)


def test_a_damaged_entry_is_computed_again(
    tmp_path: Path, source: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    frames = FinishedFrames(tmp_path / "job")
    frames.save(0, source, edited(source))
    (path,) = (tmp_path / "job").iterdir()
    for content in (b"", b"junk", path.read_bytes()[:-50]):
        path.write_bytes(content)
        assert frames.load(0, source) is None
    assert "computing its frames again" in caplog.text


def test_an_entry_of_another_length_is_not_used(tmp_path: Path, source: np.ndarray) -> None:
    frames = FinishedFrames(tmp_path / "job")
    frames.save(0, source, edited(source))
    assert frames.load(0, source[:2]) is None


def test_a_full_disk_is_said_once(
    tmp_path: Path, source: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "job").write_bytes(b"in the way")
    frames = FinishedFrames(tmp_path / "job")
    with caplog.at_level(logging.WARNING):
        frames.save(0, source, edited(source))
        frames.save(3, source, edited(source))
    assert caplog.text.count("finished frames are not kept") == 1


def test_a_flipped_bit_is_noticed(tmp_path: Path, source: np.ndarray) -> None:
    frames = FinishedFrames(tmp_path / "job")
    frames.save(0, source, edited(source))
    (path,) = (tmp_path / "job").iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert frames.load(0, source) is None
