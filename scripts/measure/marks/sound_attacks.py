"""What happens to sound on its way through the world."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np
import soxr  # type: ignore[import-untyped]

from retalking.types import FloatArray

SoundAttack = Callable[[FloatArray, int], FloatArray]
"""Takes mono samples ``[N]`` and their rate; what it returns has the same rate."""


def _coded(codec: str, kind: str, bits_per_s: int, rate_hz: int) -> SoundAttack:
    def attack(samples: FloatArray, own_hz: int) -> FloatArray:
        sound = soxr.resample(samples, own_hz, rate_hz).astype(np.float32)
        file = io.BytesIO()
        with av.open(file, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=rate_hz, layout="mono")
            assert isinstance(stream, av.AudioStream)
            stream.bit_rate = bits_per_s
            frame = av.AudioFrame.from_ndarray(sound[None], "flt", "mono")
            frame.sample_rate, frame.pts = rate_hz, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        file.seek(0)
        with av.open(file) as container:
            heard = [part.to_ndarray()[0] for part in container.decode(audio=0)]
            found_hz = container.streams.audio[0].rate
        return _resampled(np.concatenate(heard).astype(np.float32), found_hz, own_hz)

    return attack


def _resampled(samples: FloatArray, from_hz: float, to_hz: float) -> FloatArray:
    changed: FloatArray = soxr.resample(samples, from_hz, to_hz).astype(np.float32)
    return changed


def _through(rate_hz: int) -> SoundAttack:
    return lambda samples, own: _resampled(_resampled(samples, own, rate_hz), rate_hz, own)


def _played(speed: float) -> SoundAttack:
    return lambda samples, own: _resampled(samples, own * speed, own)


def _noisy(samples: FloatArray, _rate_hz: int) -> FloatArray:
    noise = np.random.default_rng(0).normal(0, 0.1 * float(samples.std()), len(samples))
    return (samples + noise).astype(np.float32)


def _cut(samples: FloatArray, rate_hz: int) -> FloatArray:
    """What remains of 5 s: 3.3 s, of which half a second is missing in the middle."""
    start, gap = round(1.237 * rate_hz), round(0.5 * rate_hz)
    middle = (start + len(samples)) // 2
    return np.concatenate([samples[start:middle], samples[middle + gap :]])


def _with_music(samples: FloatArray, rate_hz: int) -> FloatArray:
    """Chords of decaying tones, 10 dB below the speech."""
    time_s = np.arange(len(samples)) / rate_hz
    music = np.zeros(len(samples))
    for beat, root in enumerate((220.0, 174.6, 261.6, 196.0) * 8):
        since = time_s - 0.5 * beat
        tone = np.zeros(len(samples))
        for note in (1, 1.26, 1.5):
            for part in range(1, 7):
                tone += np.sin(2 * np.pi * root * note * part * since) / part
        music += np.where((since >= 0) & (since < 2), tone * np.exp(-3 * np.maximum(since, 0)), 0)
    music *= float(samples.std()) / max(float(music.std()), 1e-9) * 10 ** (-10 / 20)
    return (samples + music).astype(np.float32)


SOUND_ATTACKS: dict[str, SoundAttack] = {
    "as written": lambda samples, _: samples,
    "AAC 64 kbit/s": _coded("aac", "mp4", 64_000, 48_000),
    "MP3 96 kbit/s": _coded("libmp3lame", "mp3", 96_000, 44_100),
    "Opus 32 kbit/s": _coded("libopus", "ogg", 32_000, 48_000),
    "8 kHz": _through(8_000),
    "22 kHz": _through(22_050),
    "noise at 20 dB": _noisy,
    "speed +2 %": _played(1.02),
    "speed -2 %": _played(0.98),
    "cut, and a gap": _cut,
    "music at 10 dB": _with_music,
}
