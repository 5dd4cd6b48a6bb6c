"""Find shot cuts from tiny grey versions of the frames, with one frame of look-ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from retalking.face.picture import Picture, PictureChunk, pictures_of
from retalking.types import FloatArray, FrameChunk

_THUMB_SIZE_PX = (64, 36)
_REACH_PX = (
    8,
    5,
)  # camera motion between two frames that counts as the same view, in the thumbnail
_CUT_BELOW = 0.55
_JUMP_BELOW = 0.72
_JUMP_FACTOR = 8.0
_FLAT_STD = 4.0
_HISTORY = 12
_FLASH_RETURN = 0.6  # of the change remains at most one frame later, if it was a flash


class Frame(NamedTuple):
    """One frame: number, time in ticks, pixels, and whether a shot begins with it."""

    number: int
    pts: int
    picture: Picture
    is_cut: bool


def split_frames(chunks: Iterable[FrameChunk | PictureChunk]) -> Iterator[Frame]:
    """Yield every frame of the chunks once, marked with the cuts; holds back one frame.

    A frame begins a shot when neither it nor its successor resembles the frame before: a flash
    leaves the next frame as it was. Resemblance is correlation under the best small shift, so pans
    pass; it ignores brightness, so fades pass.
    """
    judge = _CutJudge()
    held: tuple[Frame, FloatArray] | None = None
    for chunk in chunks:
        for row, picture in enumerate(pictures_of(chunk)):
            thumb = shrink(picture)
            if held is not None:
                yield held[0]._replace(is_cut=judge.is_cut(held[1], thumb))
            held = Frame(chunk.start + row, int(chunk.pts[row]), picture, is_cut=False), thumb
    if held is not None:
        yield held[0]._replace(is_cut=judge.is_cut(held[1], held[1]))


def shrink(picture: Picture) -> FloatArray:
    """Return the grey thumbnail ``[36, 64]`` in [0, 255] of a frame."""
    small = cv2.resize(picture.thinned, _THUMB_SIZE_PX, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def resemblance(first: FloatArray, second: FloatArray) -> float:
    """Return the correlation of two thumbnails under the best shift; flat pictures are alike."""
    across, down = _REACH_PX
    inner = second[down:-down, across:-across]
    deviations = (float(first.std()), float(inner.std()))
    if (
        min(deviations) < _FLAT_STD
    ):  # black or white: only a hard change between flat and full counts
        return 1.0 if max(deviations) < 4 * _FLAT_STD else 0.0
    return float(cv2.matchTemplate(first, inner, cv2.TM_CCOEFF_NORMED).max())


class _CutJudge:
    """Compares each frame with the last one of its shot that was no flash."""

    def __init__(self) -> None:
        self._before: FloatArray | None = None
        self._changes: deque[float] = deque(maxlen=_HISTORY)

    def is_cut(self, frame: FloatArray, after: FloatArray) -> bool:
        """Judge one frame by its thumbnail and the next one's."""
        if self._before is None:
            self._before = frame
            return False
        change = 1 - resemblance(self._before, frame)
        usual = max(float(np.median(self._changes)) if self._changes else 0.0, 0.005)
        bound = min(1 - _CUT_BELOW, max(1 - _JUMP_BELOW, _JUMP_FACTOR * usual))
        if change <= bound:
            self._before = frame
            self._changes.append(change)
            return False
        if 1 - resemblance(self._before, after) < _FLASH_RETURN * change:
            return False
        self._before = frame
        self._changes.clear()
        return True
