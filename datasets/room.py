"""What happens to speech between a mouth and a file: noise, music, rooms, telephones, loudness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retalking.media.sound.mel import SAMPLE_RATE_HZ
from retalking.speech.windows import STEP_SAMPLES
from retalking.types import Float64Array, FloatArray

_LOUDNESS_DB = (-30.0, 6.0)
_NOISE_SNR_DB = (5.0, 30.0)
_MUSIC_SNR_DB = (5.0, 25.0)
_DECAY_S = (0.05, 0.3)
_LOWEST_NOTE_HZ = 110.0
_VOICES = 0.16  # of pitch and formants, up or down

Change = Callable[[Float64Array, np.random.Generator], Float64Array]


def disturb_speech(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Record speech again under other conditions, without moving it in time.

    Args:
        samples: ``[N]`` in [-1, 1] at 16 kHz.
        rng: decides everything.

    Returns:
        float32 ``[N]`` in [-1, 1].
    """
    wave = samples.astype(np.float64)
    chances: tuple[tuple[Change, float], ...] = (
        (add_echo, 0.3),
        (colour, 0.6),
        (through_telephone, 0.2),
        (add_noise, 0.6),
        (add_music, 0.25),
        (change_loudness, 0.8),
    )
    for change, chance in chances:
        if rng.random() < chance:
            wave = change(wave, rng)
    return np.clip(wave, -1, 1).astype(np.float32)


def other_voice(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Play speech ``[N]`` faster or slower, so that a larger or smaller person seems to speak.

    Returns:
        float32, of another length: a multiple of 20 ms.
    """
    count = round(len(samples) * np.exp(rng.uniform(-_VOICES, _VOICES)) / STEP_SAMPLES)
    count = max(count, 1) * STEP_SAMPLES
    spectrum = np.fft.rfft(samples.astype(np.float64))
    played = np.fft.irfft(spectrum, count) * (count / len(samples))
    return played.astype(np.float32)


def add_noise(
    wave: Float64Array, rng: np.random.Generator, snr_db: float | None = None
) -> Float64Array:
    """Add noise whose spectrum falls by 0 (white) to 6 dB an octave (brown)."""
    slope = rng.uniform(0, 1)
    noise = _filter(rng.standard_normal(len(wave)), lambda hz: (hz / 1000) ** -slope)
    return wave + _at_level(noise, wave, snr_db or rng.uniform(*_NOISE_SNR_DB))


def add_music(
    wave: Float64Array, rng: np.random.Generator, snr_db: float | None = None
) -> Float64Array:
    """Add chords of plucked strings, three notes at a time with four overtones."""
    music = np.zeros(len(wave))
    begin = 0
    while begin < len(wave):
        length = min(int(rng.uniform(0.2, 0.6) * SAMPLE_RATE_HZ), len(wave) - begin)
        seconds = np.arange(length) / SAMPLE_RATE_HZ
        for semitone in rng.integers(0, 36, size=3):
            hz = _LOWEST_NOTE_HZ * 2 ** (semitone / 12)
            for overtone in range(1, 6):
                tone = np.sin(2 * np.pi * hz * overtone * seconds + rng.uniform(0, 6.3))
                music[begin : begin + length] += tone * np.exp(-3 * overtone * seconds) / overtone
        begin += length
    return wave + _at_level(music, wave, snr_db or rng.uniform(*_MUSIC_SNR_DB))


def through_telephone(wave: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Keep what an old telephone line does, about 300 to 3400 Hz."""
    low, high = rng.uniform(200, 400), rng.uniform(3000, 3800)
    return _filter(wave, lambda hz: 1 / ((1 + (low / hz) ** 8) * (1 + (hz / high) ** 16)))


def colour(wave: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Raise or lower broad bands by some dB, as microphones and rooms do."""
    slope, depth, phase, width = rng.normal(0, 3), *rng.uniform((0, 0, 0.5), (4, 6.3, 2))

    def gain(hz: Float64Array) -> Float64Array:
        octaves = np.log2(hz / 1000)
        curve_db = slope * octaves + depth * np.sin(octaves / width * np.pi + phase)
        gain: Float64Array = 10 ** (curve_db.clip(-20, 12) / 20)
        return gain

    return _filter(wave, gain)


def add_echo(wave: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Add the dying noise of a small room."""
    decay_s = rng.uniform(*_DECAY_S)
    seconds = np.arange(int(3 * decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echo = rng.standard_normal(len(seconds)) * np.exp(-seconds / decay_s * 3)
    echo *= rng.uniform(0.1, 0.7) / np.linalg.norm(echo)
    size = 1 << (len(wave) + len(echo)).bit_length()
    late: Float64Array = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(echo, size), size)
    return wave + late[: len(wave)]


def change_loudness(wave: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Make all of it softer or louder."""
    return wave * 10 ** (rng.uniform(*_LOUDNESS_DB) / 20)


def _filter(wave: Float64Array, gain: Callable[[Float64Array], Float64Array]) -> Float64Array:
    hz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE_HZ)
    filtered: Float64Array = np.fft.irfft(np.fft.rfft(wave) * gain(np.maximum(hz, 20.0)), len(wave))
    return filtered


def _at_level(added: Float64Array, wave: Float64Array, snr_db: float) -> Float64Array:
    power = np.square(added).mean()
    return added * np.sqrt(np.square(wave).mean() / max(power, 1e-12)) * 10 ** (-snr_db / 20)
