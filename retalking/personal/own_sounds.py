"""With which sounds the mouths of a person were said."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from retalking.mouth.warp.lending.bank import MouthBank
from retalking.personal.studied_video import StudiedVideo
from retalking.speech.sounds import SoundSpace
from retalking.types import FloatArray

_FEWEST = 50  # mouths whose sounds are known, below which they say little of the person's


def place_sounds(
    videos: Sequence[StudiedVideo], encoder: str
) -> tuple[SoundSpace | None, list[MouthBank]]:
    """Find where the person's sounds lie, and those of every mouth.

    Args:
        videos: of the person.
        encoder: hash of the encoder that heard them.

    Returns:
        The space, ``None`` if too little is known; the banks of the videos that have one, with
        their ``sounds``.
    """
    banks = [video.bank for video in videos if video.bank is not None]
    heard = [_heard_with(video) for video in videos if video.bank is not None]
    known = [columns[:, np.isfinite(columns[0])] for columns in heard if columns is not None]
    if sum(columns.shape[1] for columns in known) < _FEWEST:
        return None, banks
    space = SoundSpace.of(np.concatenate(known, axis=1), encoder)
    for row, (bank, columns) in enumerate(zip(banks, heard, strict=True)):
        sounds = np.full((len(bank), space.num_directions), np.nan, np.float32)
        if columns is not None:
            sounds = space.place(columns)
        banks[row] = dataclasses.replace(bank, sounds=sounds)
    return space, banks


def _heard_with(video: StudiedVideo) -> FloatArray | None:
    """What is heard while each mouth of the bank is seen, ``[C, B]``; NaN beyond the sound."""
    speech = video.speech
    if speech is None or not speech.fits:
        return None
    steps = speech.steps(video.mouths_s)
    count = speech.heard.shape[1]
    columns = speech.heard[:, steps.clip(0, count - 1)]
    return np.where((steps >= 0) & (steps < count), columns, np.float32(np.nan))
