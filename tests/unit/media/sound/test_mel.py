from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.media.sound.mel import (
    SAMPLE_RATE_HZ,
    SILENCE,
    WINDOW_STEPS,
    MelSpectrogram,
    log_mel,
    mel_filters,
)
from retalking.types import AudioClip


def clip_of(samples: np.ndarray, sample_rate_hz: int = SAMPLE_RATE_HZ) -> AudioClip:
    return AudioClip(samples.astype(np.float32), sample_rate_hz)


def tone(frequency_hz: float, duration_s: float = 0.5) -> AudioClip:
    time_s = np.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return clip_of(0.5 * np.sin(2 * np.pi * frequency_hz * time_s))


@pytest.fixture
def counting_mel() -> MelSpectrogram:
    """Column s holds s / 100, so a window tells where it was cut."""
    return MelSpectrogram(np.tile(np.arange(200, dtype=np.float32) / 100, (80, 1)))


def first_column(window: np.ndarray) -> int:
    return round(float(window[0, 0]) * 100)


@pytest.mark.parametrize(("num_samples", "columns"), [(1, 1), (199, 1), (200, 2), (16_000, 81)])
def test_silence_is_the_floor_at_any_length(num_samples: int, columns: int) -> None:
    mel = log_mel(clip_of(np.zeros(num_samples)))
    assert len(mel) == columns
    assert mel.mel.dtype == np.float32
    assert np.all(mel.mel == SILENCE)


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_is_loudest_in_the_band_that_contains_it(frequency_hz: float) -> None:
    middle = log_mel(tone(frequency_hz)).mel[:, 20]
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, 401)
    nearest_bin = int(np.abs(bins_hz - frequency_hz).argmin())
    assert middle.argmax() == mel_filters()[:, nearest_bin].argmax()


def test_twice_the_amplitude_is_6_db_louder() -> None:
    quiet, loud = tone(1000.0), clip_of(2 * tone(1000.0).samples)
    gain = log_mel(loud).mel[:, 20].max() - log_mel(quiet).mel[:, 20].max()
    assert gain == pytest.approx(8 * 20 * np.log10(2) / 100, abs=1e-5)


def test_values_stay_between_the_limits() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 8000)
    mel = log_mel(clip_of(1000 * noise)).mel
    assert mel.min() >= -4
    assert mel.max() == 4


def test_columns_do_not_depend_on_the_block_they_are_computed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = clip_of(np.random.default_rng(0).uniform(-1, 1, 16_000))
    whole = log_mel(clip).mel
    monkeypatch.setattr("retalking.media.sound.mel._BLOCK_COLUMNS", 7)
    np.testing.assert_allclose(log_mel(clip).mel, whole, atol=1e-6)


def test_filters_are_triangles_of_equal_area_in_the_speech_range() -> None:
    filters = mel_filters()
    assert filters.shape == (80, 401)
    used_hz = np.flatnonzero(filters.sum(axis=0)) * 20
    assert used_hz.min() >= 55
    assert used_hz.max() <= 7600
    # 20 Hz between bins; the widest bands are sampled finely enough to show their area.
    np.testing.assert_allclose(filters[60:].sum(axis=1) * 20, 1, rtol=0.02)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (clip_of(np.zeros(0)), "no samples"),
        (clip_of(np.zeros(100), 44_100), "got audio at 44100 Hz, expected 16000"),
        (clip_of(np.array([0.0, np.nan])), "1 audio samples are NaN or infinite, first at 0.000 s"),
        (clip_of(np.array([0.0] * 16_000 + [np.inf])), "first at 1.000 s"),
    ],
)
def test_unusable_audio_is_refused(clip: AudioClip, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        log_mel(clip)


@pytest.mark.parametrize(
    "frame_rate_hz", [Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(30), 50, 60]
)
def test_windows_start_at_the_exact_column_of_the_time_stamp(
    counting_mel: MelSpectrogram, frame_rate_hz: Fraction
) -> None:
    frames = range(int(2 * frame_rate_hz))
    times_s = [float(i / Fraction(frame_rate_hz)) for i in frames]
    exact = [int(i * 80 / Fraction(frame_rate_hz)) for i in frames]
    np.testing.assert_array_equal(counting_mel.starts(times_s), exact)


def test_a_window_reads_0_2_s_from_its_time(counting_mel: MelSpectrogram) -> None:
    window = counting_mel.windows([0.5])[0, 0]
    assert window.shape == (80, WINDOW_STEPS)
    np.testing.assert_array_equal(window, counting_mel.mel[:, 40:56])


def test_windows_of_a_chunk_are_those_of_its_frames(counting_mel: MelSpectrogram) -> None:
    times_s = np.array([0.0, 0.033, 0.4, 0.401])
    windows = counting_mel.windows(times_s)
    assert windows.shape == (4, 1, 80, WINDOW_STEPS)
    assert windows.flags.c_contiguous
    for window, time_s in zip(windows[:, 0], times_s, strict=True):
        np.testing.assert_array_equal(window, counting_mel.windows([time_s])[0, 0])


def test_the_last_sounds_keep_their_place_and_silence_follows(counting_mel: MelSpectrogram) -> None:
    window = counting_mel.windows([195 / 80])[0, 0]
    assert first_column(window) == 195
    np.testing.assert_array_equal(window[:, :5], counting_mel.mel[:, 195:])
    assert np.all(window[:, 5:] == SILENCE)


def test_frames_before_and_after_the_audio_hear_silence(counting_mel: MelSpectrogram) -> None:
    assert np.all(counting_mel.windows([-1.0, 2.5, 100.0]) == SILENCE)
    early = counting_mel.windows([-3 / 80])[0, 0]
    assert np.all(early[:, :3] == SILENCE)
    np.testing.assert_array_equal(early[:, 3:], counting_mel.mel[:, :13])


def test_audio_shorter_than_a_window_is_padded() -> None:
    mel = log_mel(tone(1000.0, duration_s=0.05))
    assert len(mel) < WINDOW_STEPS
    window = mel.windows([0])[0, 0]
    np.testing.assert_array_equal(window[:, : len(mel)], mel.mel)
    assert np.all(window[:, len(mel) :] == SILENCE)


def test_no_frames_give_no_windows(counting_mel: MelSpectrogram) -> None:
    assert counting_mel.windows([]).shape == (0, 1, 80, WINDOW_STEPS)


def test_a_spectrogram_checks_its_shape_and_type() -> None:
    with pytest.raises(ValueError, match=r"got float32\[79, 5\], expected float32\[80"):
        MelSpectrogram(np.zeros((79, 5), np.float32))
    with pytest.raises(ValueError, match="float64"):
        MelSpectrogram(np.zeros((80, 5)))
