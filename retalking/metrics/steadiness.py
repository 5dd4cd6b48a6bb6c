"""What an edit does beside the mouth: flicker over time, and a seam where it ends.

Both look at the difference between the result and the source, so what the source itself does, such
as a moving head or a hard shadow, costs nothing. Levels are 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from retalking.errors import FaceNotFoundError, MediaError
from retalking.ibug68 import CHIN, OUTER_LIPS
from retalking.metrics.means import MeanMetric, SumsMetric, sums
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity, State
from retalking.types import BoolArray, FaceTrack, FloatArray, UInt8Array

CHANGED_LEVELS = 6
"""Smallest change of a pixel that counts as an edit; below lies what video codecs do."""

_MEDIAN_PX = 5  # specks smaller than this are no edit
_MOUTH_MARGIN = 0.25  # of the mouth box's width, on every side
_FACE_MARGIN = 0.2  # of the face box's width


class Flicker(SumsMetric):
    """Change from frame to frame around the face but outside mouth and chin.

    ``flicker`` is the mean absolute difference of the result's change and the source's: 0 where
    the result moves as the source does. ``flicker_ratio`` is the mean absolute change of the
    result over that of the source: 1 where it is as restless. Frames next to a cut, or without a
    face, are left out. Both are quotients of sums over all pixels of the set.
    """

    quantities = (
        Quantity("flicker", "levels", "lower", note="face box without mouth and chin"),
        Quantity("flicker_ratio", "", "neither", note="change over the source's change"),
    )
    needs: frozenset[Need] = frozenset({"source", "source_track"})

    def start(self, clip: Clip) -> FlickerMeter:
        """Begin a clip."""
        return FlickerMeter(clip)

    def values(self, state: State) -> dict[str, float]:
        """Divide the sums; the ratio is NaN where the source never changes."""
        moved = float(state["source_change"])
        return {
            "flicker": float(state["excess"] / state["count"]),
            "flicker_ratio": float(state["result_change"]) / moved if moved else float("nan"),
        }


class FlickerMeter:
    """Adds up the changes of one clip."""

    def __init__(self, clip: Clip) -> None:
        assert clip.source_track is not None
        self._name, self._track = clip.name, clip.source_track
        self._before: tuple[UInt8Array, UInt8Array] | None = None
        self._sums = np.zeros(4)

    def add(self, chunk: ClipChunk) -> None:
        """Take the next frames."""
        assert chunk.source is not None
        for row, pair in enumerate(zip(chunk.result, chunk.source, strict=True), chunk.start):
            if self._before is not None and self._is_steady(row):
                self._compare(row, self._before, pair)
            self._before = pair

    def finish(self) -> State:
        """Return the sums.

        Raises:
            FaceNotFoundError: no two consecutive frames show the face.
        """
        excess, result, source, count = self._sums.tolist()
        if count == 0:
            raise FaceNotFoundError(f"{self._name}: no two frames in a row with a face")
        return sums(excess=excess, result_change=result, source_change=source, count=count)

    def _is_steady(self, row: int) -> bool:
        track = self._track
        known = row < len(track) and bool(track.detected[row - 1 : row + 1].all())
        return known and bool(track.shot_id[row] == track.shot_id[row - 1])

    def _compare(
        self,
        row: int,
        before: tuple[UInt8Array, UInt8Array],
        now: tuple[UInt8Array, UInt8Array],
    ) -> None:
        height, width = now[0].shape[:2]
        x1, y1, x2, y2 = _face_box(self._track, row, width, height)
        kept = np.ones((y2 - y1, x2 - x1), np.bool_)
        for moment in (row - 1, row):
            left, top, right, bottom = _mouth_box(self._track, moment)
            kept[max(top - y1, 0) : max(bottom - y1, 0), max(left - x1, 0) : max(right - x1, 0)] = 0
        part = (slice(y1, y2), slice(x1, x2))
        result, source = (
            new[part].astype(np.float32) - old[part] for old, new in zip(before, now, strict=True)
        )
        terms = (result - source, result, source)
        totals = [np.abs(term)[kept].sum(dtype=np.float64) for term in terms]
        self._sums += [*totals, 3 * kept.sum()]


class Seam(MeanMetric):
    """Step of the edit across its own border, mean over the border's pixels.

    The edited region is where result and source differ by more than a few levels, cleaned of
    specks. For each pair of neighbours of which one lies in it, the difference of levels across
    the border is compared with the source's: a soft edge scores about the least change that counts
    (6 levels) or less, a hard one the height of its step.
    """

    quantities = (Quantity("seam", "levels", "lower", note="border of the changed region"),)
    needs: frozenset[Need] = frozenset({"source"})

    def start(self, clip: Clip) -> SeamMeter:
        """Begin a clip."""
        return SeamMeter(clip)


class SeamMeter:
    """Adds up the steps of one clip."""

    def __init__(self, clip: Clip) -> None:
        self._name = clip.name
        self._sum, self._count = 0.0, 0

    def add(self, chunk: ClipChunk) -> None:
        """Take the next frames."""
        assert chunk.source is not None
        for result, source in zip(chunk.result, chunk.source, strict=True):
            change = result.astype(np.float32) - source
            for steps in border_steps(change):
                self._sum += float(steps.sum(dtype=np.float64))
                self._count += len(steps)

    def finish(self) -> State:
        """Return sum and count.

        Raises:
            MediaError: nothing was edited.
        """
        if self._count == 0:
            raise MediaError(f"{self._name}: the result nowhere differs from the source; no seam")
        return sums(seam=self._sum, count=self._count)


def border_steps(change: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps of an edit across its border, along rows and along columns.

    Args:
        change: result minus source, float32 ``[H, W, 3]``.

    Returns:
        Two arrays ``[N]``: mean over the colours of the absolute step.
    """
    inside = changed_region(change)
    across = np.abs(np.diff(change, axis=1)).mean(axis=2)[inside[:, 1:] != inside[:, :-1]]
    down = np.abs(np.diff(change, axis=0)).mean(axis=2)[inside[1:] != inside[:-1]]
    return across, down


def changed_region(change: FloatArray) -> BoolArray:
    """Where an edit changed the picture, without specks: bool ``[H, W]``."""
    changed = (np.abs(change).max(axis=2) > CHANGED_LEVELS).astype(np.uint8)
    return np.asarray(cv2.medianBlur(changed, _MEDIAN_PX) > 0)


def _face_box(track: FaceTrack, row: int, width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = track.boxes_px[row].tolist()
    margin = _FACE_MARGIN * (x2 - x1)
    left, top = max(round(x1 - margin), 0), max(round(y1 - margin), 0)
    right, bottom = min(round(x2 + margin), width), min(round(y2 + margin), height)
    return left, top, max(right, left), max(bottom, top)


def _mouth_box(track: FaceTrack, row: int) -> tuple[int, int, int, int]:
    face = track.landmarks_px[row]
    points = np.concatenate([face[OUTER_LIPS], face[CHIN]])
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    margin = _MOUTH_MARGIN * (x2 - x1)
    return round(x1 - margin), round(y1 - margin), round(x2 + margin), round(y2 + margin)
