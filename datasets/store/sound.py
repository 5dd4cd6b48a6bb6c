"""What is heard during some frames of a stored clip."""

from __future__ import annotations

import numpy as np

from datasets.store.format import FRAME_RATE, TRACKS
from datasets.store.reader import StoredClip
from retalking.media.sound.mel import SAMPLE_RATE_HZ, MelSpectrogram
from retalking.media.sound.mel_inversion import hear_mel
from retalking.types import AudioClip

_SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAME_RATE


def read_sound(clip: StoredClip, frames: slice) -> AudioClip | None:
    """Return the sound of consecutive frames; ``None`` for a clip without speech.

    A store that was prepared with ``--keep-audio`` has the sound itself; of another it is found
    again from the mel spectrogram.
    """
    kept = clip.array_names(TRACKS)
    if "audio" in kept:
        edges = (frame * _SAMPLES_PER_FRAME for frame in (frames.start, frames.stop))
        samples = clip.rows(TRACKS, "audio", *edges).astype(np.float32) / np.float32(32767)
        return AudioClip(samples, SAMPLE_RATE_HZ)
    if "mel" not in kept:
        return None
    # Every window holds the columns of its frame's own 0.2 s; one column more ends the last frame.
    windows = clip.mel_windows(frames.start, frames.stop)[:, 0]
    first = clip.rows(TRACKS, "mel_start", frames.start, frames.stop)
    columns = np.zeros((windows.shape[1], first[-1] - first[0] + windows.shape[2]), np.float32)
    for start, window in zip(first - first[0], windows, strict=True):
        columns[:, start : start + window.shape[1]] = window
    heard = hear_mel(MelSpectrogram(columns))
    count = (frames.stop - frames.start) * _SAMPLES_PER_FRAME
    return AudioClip(heard.samples[:count], SAMPLE_RATE_HZ)
