"""Sounds added up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.media.sound.audio import read_blocks
from retalking.media.sound.audio_info import probe_audio
from retalking.media.sound.mixing import mix_files
from tests import media


def mixed(tmp_path: Path, *sounds: tuple[np.ndarray, int]) -> np.ndarray:
    paths = []
    for number, (samples, rate_hz) in enumerate(sounds):
        paths.append(tmp_path / f"{number}.wav")
        media.write_audio(paths[-1], samples, rate_hz, codec="pcm_f32le")
    mix_files(paths, tmp_path / "mix.wav")
    return np.concatenate(list(read_blocks(probe_audio(tmp_path / "mix.wav"))), axis=1)


def test_sounds_of_one_rate_are_added_to_the_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    long, short = (0.2 * rng.standard_normal(count).clip(-2, 2) for count in (40_000, 23_456))
    long, short = long.astype(np.float32), short.astype(np.float32)
    total = mixed(tmp_path, (short, 16_000), (long, 16_000))
    expected = long.copy()
    expected[: len(short)] += short
    assert np.array_equal(total, expected[None])


def test_rates_and_channels_meet_at_the_highest(tmp_path: Path) -> None:
    low = np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000).astype(np.float32)
    high = np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000).astype(np.float32)
    total = mixed(tmp_path, (0.3 * low, 16_000), (np.stack([0 * high, 0.2 * high]), 48_000))
    inside = slice(2000, -2000)  # the filter of the resampling rings at the ends
    assert np.abs(total[0, inside] - 0.3 * high[inside]).max() < 1e-3
    assert np.abs(total[1, inside] - 0.5 * high[inside]).max() < 1e-3


def test_only_what_would_be_clipped_is_made_softer(tmp_path: Path) -> None:
    tone = 0.8 * np.sin(np.arange(16_000) / 7).astype(np.float32)
    total = mixed(tmp_path, (tone, 16_000), (tone, 16_000))
    assert np.abs(total).max() == pytest.approx(1.0, abs=1e-6)
    assert np.abs(total[0] - tone * (total[0, 100] / tone[100])).max() < 1e-5


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    media.write_video(tmp_path / "mute.mp4", 3)
    with pytest.raises(MediaError, match=r"mute\.mp4"):
        mix_files([tmp_path / "mute.mp4"], tmp_path / "mix.wav")
