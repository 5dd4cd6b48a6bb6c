"""Which source frame is shown at which time of the output.

This is the one place that decides what happens when the audio is longer or shorter than the video.
The output's first frame is at 0; ticks are the source's unless ``source_times`` needs finer ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from retalking.errors import ConfigError, MediaError
from retalking.rendering.source_times import source_times
from retalking.types import Float64Array, IntArray

LengthPolicy = Literal["audio", "loop", "hold", "video"]
"""What sets the length of the output.

* ``audio``: the audio does; when it outlasts the video, the video plays back and forth.
* ``loop``: the audio does; the video starts again.
* ``hold``: the audio does; the last frame stays.
* ``video``: the video does; the audio is cut or followed by silence.

With the first three a video that outlasts the audio is cut after the frame the audio ends in.
"""

_ROUNDING_S = 1e-6
"""An audio end this close to a frame boundary lies on it (sample counts become floats)."""


@dataclass(frozen=True)
class Timeline:
    """The output's frames in order.

    Attributes:
        source_index: int64 ``[N]``, the source frame each output frame shows.
        pts: int64 ``[N]``, strictly increasing from 0, in ticks of ``time_base``.
        end_pts: tick at which the last frame ends.
        time_base: seconds per tick.
        audio_time_s: float64 ``[N]``, the moment of the audio that each frame's lips show.
    """

    source_index: IntArray
    pts: IntArray
    end_pts: int
    time_base: Fraction
    audio_time_s: Float64Array

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def time_s(self) -> Float64Array:
        """Presentation time of each output frame, float64 ``[N]``, the first at 0."""
        return self.pts.astype(np.float64) * float(self.time_base)

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second between most frames."""
        ticks = np.diff(np.append(self.pts, self.end_pts))
        return 1 / (int(np.median(ticks)) * self.time_base)

    @property
    def duration_s(self) -> float:
        """Length of the output, including the time the last frame is shown."""
        return float(self.end_pts * self.time_base)


def build_timeline(
    pts: IntArray,
    time_base: Fraction,
    frame_rate: Fraction,
    audio_duration_s: float,
    policy: LengthPolicy = "audio",
    *,
    sync_offset_s: float = 0.0,
    min_rate_hz: float = 0.0,
) -> Timeline:
    """Lay the source frames out along the audio.

    Frames beyond the source's end keep the source's own spacing: playing backward mirrors the gaps
    between frames, and neither end is shown twice in a row.

    Args:
        pts: int64 ``[F]``, strictly increasing source timestamps in ticks.
        time_base: seconds per tick.
        frame_rate: nominal frames per second; how long the only frame of a still image lasts.
        audio_duration_s: seconds of speech.
        policy: see `LengthPolicy`.
        sync_offset_s: added to the moment of the audio that the lips follow; a positive value makes
            the lips earlier than the sound by that much. Timestamps are not touched.
        min_rate_hz: source frames shown for longer than at this rate are shown several times, so
            that lips can move meanwhile.

    Raises:
        MediaError: no frames, or timestamps that do not increase.
        ConfigError: an unknown policy.
    """
    _check(pts)
    times = source_times(pts, time_base, frame_rate, min_rate_hz)
    time_base, num_shown = times.time_base, len(times.pts)
    gaps, last_gap = np.diff(times.pts), times.last_ticks
    index, durations = _one_period(policy, gaps, last_gap)

    if policy == "video":
        count = num_shown
    else:
        wanted_ticks = (Fraction(audio_duration_s) - Fraction(_ROUNDING_S)) / time_base
        played_ticks = int(durations[:num_shown].sum())
        if policy == "hold":
            repeats = max(0, -(-(wanted_ticks - played_ticks) // last_gap))
            index = np.concatenate([index, np.full(repeats, num_shown - 1)])
            durations = np.concatenate([durations, np.full(repeats, last_gap)])
        else:
            repeats = max(1, -(-wanted_ticks // int(durations.sum())))
            index, durations = np.tile(index, repeats), np.tile(durations, repeats)
        ends = np.cumsum(durations)
        count = min(int(np.searchsorted(ends, float(wanted_ticks))) + 1, len(ends))

    starts = np.concatenate([[0], np.cumsum(durations)])
    out_pts = starts[:count].astype(np.int64)
    return Timeline(
        source_index=times.index[index[:count]],
        pts=out_pts,
        end_pts=int(starts[count]),
        time_base=time_base,
        audio_time_s=out_pts.astype(np.float64) * float(time_base) + sync_offset_s,
    )


def _check(pts: IntArray) -> None:
    if len(pts) == 0:
        raise MediaError("the video has no frame that can be decoded")
    if np.any(np.diff(pts) <= 0):
        raise MediaError("the video's timestamps do not increase")


def _one_period(policy: LengthPolicy, gaps: IntArray, last_gap: int) -> tuple[IntArray, IntArray]:
    """Places in ``SourceTimes`` of one turn and the ticks each is shown, int64 ``[P]`` both."""
    frames = len(gaps) + 1
    forward = np.arange(frames, dtype=np.int64)
    if policy == "audio" and frames > 1:
        backward = forward[-2:0:-1]
        return np.concatenate([forward, backward]), np.concatenate([gaps, gaps[::-1]])
    if policy in ("audio", "loop", "hold", "video"):
        return forward, np.append(gaps, last_gap)
    raise ConfigError(f"length policy: got {policy!r}, expected audio, loop, hold or video")


def nearest_frame_rate(value: float) -> Fraction:
    """The frame rate that is meant by a decimal number, e.g. 29.97 -> 30000/1001.

    Raises:
        ConfigError: not a positive number up to 1000.
    """
    if not 0 < value <= 1000:
        raise ConfigError(f"frame rate: got {value}, expected more than 0 and at most 1000")
    ntsc = Fraction(round(value * 1.001) * 1000, 1001)
    if ntsc and abs(float(ntsc) - value) < 0.005 and abs(value - round(value)) > 0.005:
        return ntsc
    return Fraction(value).limit_denominator(1000)
