"""What videos of a person do not show, in plain words, so that the next recording does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retalking.mouth.warp.lip_measures import OPENING
from retalking.mouth.warp.lip_range import TYPICAL_DEVIATION
from retalking.personal.studied_video import StudiedVideo

ENOUGH_S = 30.0
_DARK, _BRIGHT = 60.0, 215.0
_TURN_DEG, _NOD_DEG = 10.0, 5.0
_OPEN = 2.5  # typical deviations between closed and wide open lips
_CLOSED = 0.03  # shape units
_SMALL_PX = 45.0
_FLAWED = 0.25
_LATE_S = 0.06
_SPEAKING = 0.3
_SPAN = (5, 95)  # percentiles


def advise(videos: Sequence[StudiedVideo]) -> list[str]:
    """Say what is missing in all videos together, and what is wrong with single ones.

    Args:
        videos: at least one.

    Returns:
        One sentence each; none if all is well.
    """
    said = []
    seconds = sum(video.seconds for video in videos)
    if seconds < ENOUGH_S:
        said.append(
            f"seconds: the face is seen for {seconds:.0f} s; {ENOUGH_S:.0f} s or more, best a "
            "minute, show more mouths"
        )
    lips = np.concatenate([video.lips for video in videos])[:, OPENING]
    low, high = np.percentile(lips, (2, 98))
    if high - max(low, 0.0) < _OPEN * TYPICAL_DEVIATION[OPENING]:
        said.append("open mouths: none is wide open; say a few long, loud 'ah' and 'oh'")
    if low > _CLOSED:
        said.append("closed mouths: the lips never close; pause, and say words with m, b and p")
    angles = np.rad2deg(np.concatenate([video.angles for video in videos]))
    nod, turn, _ = np.ptp(np.percentile(angles, _SPAN, axis=0), axis=0)
    if turn < _TURN_DEG:
        said.append(
            f"poses: the head turns by {turn:.0f} degrees; while speaking, look to the left and "
            "to the right now and then"
        )
    if nod < _NOD_DEG:
        said.append(
            f"poses: the head nods by {nod:.0f} degrees; while speaking, look up and down too"
        )
    for video in videos:
        said += [f"{video.path.name}: {fault}" for fault in _faults(video)]
    return said


def _faults(video: StudiedVideo) -> list[str]:
    said = []
    if video.brightness < _DARK:
        said.append(
            f"light: the face is dark ({video.brightness:.0f} of 255); light it from the front"
        )
    if video.brightness > _BRIGHT:
        said.append(
            f"light: the face is too bright ({video.brightness:.0f} of 255); dim the light or "
            "expose less"
        )
    if video.mouth_px < _SMALL_PX:
        said.append(
            f"size: the mouth is {video.mouth_px:.0f} px wide; come nearer, or record at a "
            "higher resolution"
        )
    if video.flawed > _FLAWED:
        said.append(
            f"sharpness: {video.flawed:.0%} of the mouths are blurred or hidden; keep hands and "
            "microphone away, and take a shorter exposure"
        )
    speech = video.speech
    if speech is None or speech.speaking < _SPEAKING:
        said.append("speech: little or none is heard; mouths are learnt, how they speak is not")
    elif not speech.fits:
        said.append(
            f"speech: it does not fit the lips (correlation {speech.fit.fit:.2f}); it may be "
            "dubbed, or drowned in noise. Mouths are learnt, how they speak is not"
        )
    elif abs(speech.fit.offset_s) > _LATE_S:
        later = "later" if speech.fit.offset_s > 0 else "earlier"
        said.append(
            f"speech: the sound is {abs(speech.fit.offset_s) * 1000:.0f} ms {later} than the "
            "lips; that is allowed for"
        )
    return said
