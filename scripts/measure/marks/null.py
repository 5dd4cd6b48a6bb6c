"""How the evidence is spread where there is no mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.media.sound import audio
from retalking.trust.picture.evidence import weigh
from retalking.trust.picture.faces import see_faces
from retalking.trust.picture.pattern import picture_code
from retalking.trust.sound.evidence import SPEEDS, weigh_at_speed
from retalking.trust.sound.pattern import sound_code
from retalking.types import AudioClip, Float64Array
from scripts.measure.marks.seen import seen_once

_LOOKED_AT_S = 6.0


@dataclass(frozen=True)
class NullSummary:
    """The distribution of ``log10_p`` over windows of unmarked video.

    Attributes:
        num_scores: windows times keys.
        num_windows: windows of video, which are stretches of a face.
        shares: by the ``log10_p`` promised, the share of scores that is as low or lower.
        lowest: the lowest score.
        slope: of the fitted tail, decades of the share per decade of ``log10_p``; 1 where the
            promise is exact, more where chance does less than it may.
        share_at_threshold: what the fitted tail has at 1e-6.
    """

    num_scores: int
    num_windows: int
    shares: dict[str, float]
    lowest: float
    slope: float
    share_at_threshold: float


def null_scores(
    path: Path, window_s: float, num_keys: int, every: int, kept: Path | None = None
) -> Iterator[Float64Array]:
    """Yield ``log10_p`` ``[K]`` of every window of every face, one for each key.

    Of a video the first six seconds are used, so that many people are seen. Windows begin a
    fortieth of their length after one another; each has keys of its own. ``kept`` is where what is
    seen lies, or will.
    """
    faces = seen_once(kept, lambda: see_faces(path, every, _LOOKED_AT_S))
    for place, face in enumerate(faces):
        start_s, last_s = float(face.time_s[0]), float(face.time_s[-1])
        for first_s in np.arange(start_s, last_s - window_s + 0.1, window_s / 40).tolist():
            rows = (face.time_s >= first_s) & (face.time_s < first_s + window_s)
            name = f"{path.name} {place} {first_s:.3f}"
            codes = [picture_code(f"{name} {number}".encode()) for number in range(num_keys)]
            found = [weigh(face.cells[rows], face.weights, face.time_s[rows], c) for c in codes]
            if all(finding is not None for finding in found):
                yield np.array([finding.log10_p for finding in found if finding])


def sound_null_scores(path: Path, window_s: float, num_keys: int) -> Iterator[Float64Array]:
    """Yield ``log10_p`` ``[K]`` of stretches of a sound, one for each key.

    They begin a quarter of their length after one another. One speed is tried, not all: its share
    of the trials is counted.
    """
    clip = audio.load(path)
    size = round(window_s * clip.sample_rate_hz)
    for start in range(0, len(clip.samples) - size + 1, max(size // 4, 1)):
        window = AudioClip(clip.samples[start : start + size], clip.sample_rate_hz)
        if not np.abs(window.samples).max() > 0:
            continue
        codes = [sound_code(f"{path.name} {start} {n}".encode()) for n in range(num_keys)]
        yield np.array([weigh_at_speed(window, 1.0, code).log10_p for code in codes]) - np.log10(
            len(SPEEDS)
        )


def summarise(scores: Sequence[Float64Array], threshold: float) -> NullSummary:
    """Fit the tail of all scores by an exponential, between the shares of a tenth and of the last
    twenty scores. Those that are as high as a score can be say nothing of it.
    """
    everything = np.sort(np.concatenate(scores))
    count = len(everything)
    rank = np.arange(1, count + 1) / count
    below = int(np.searchsorted(everything, everything[-1]))
    end = max(min(count // 10, below), 2)
    tail = slice(min(20, count // 20, end // 4), end)
    slope, level = np.polyfit(everything[tail], np.log10(rank[tail]), 1)
    shares = {f"1e{level}": float(np.mean(everything <= level)) for level in range(-1, -7, -1)}
    fitted = 10 ** float(slope * threshold + level)
    return NullSummary(count, len(scores), shares, float(everything[0]), float(slope), fitted)
