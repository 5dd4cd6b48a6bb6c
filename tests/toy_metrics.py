"""Metrics whose values can be told from the media that ``tests/media.py`` makes."""

from __future__ import annotations

import numpy as np

from retalking.errors import MediaError
from retalking.metrics.means import FrameMetric, TrackMetric
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity


class Brightness(FrameMetric):
    """Mean level of the result; notes what it was shown."""

    needs: frozenset[Need] = frozenset()

    def __init__(self) -> None:
        super().__init__(Quantity("brightness", "levels", "higher"))
        self.clips: list[Clip] = []
        self.num_frames = 0

    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        if not any(known is clip for known in self.clips):
            self.clips.append(clip)
        self.num_frames += len(chunk.result)
        return chunk.result.mean(axis=(1, 2, 3)).tolist()


class Difference(FrameMetric):
    """Mean distance of the result from the frame behind it; keeps the frames it was shown."""

    def __init__(self, need: Need = "source") -> None:
        super().__init__(Quantity("difference", "levels", "lower"))
        self.needs = frozenset({need})
        self.shown: list[np.ndarray] = []

    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        other = chunk.source if chunk.source is not None else chunk.truth
        assert other is not None
        self.shown += list(other)
        return np.abs(chunk.result.astype(float) - other).mean(axis=(1, 2, 3)).tolist()


class FaceWidth(TrackMetric):
    """Mean width of the face; keeps the tracks it was given."""

    quantities = (Quantity("face_width", "px", "neither"),)
    needs: frozenset[Need] = frozenset({"result_track", "source_track"})

    def __init__(self) -> None:
        self.clips: list[Clip] = []

    def measure(self, clip: Clip) -> dict[str, float]:
        self.clips.append(clip)
        assert clip.result_track is not None
        boxes = clip.result_track.boxes_px[clip.result_track.detected]
        return {"face_width": float((boxes[:, 2] - boxes[:, 0]).mean())}


class Unmeasurable(FrameMetric):
    """Fails on every clip."""

    needs: frozenset[Need] = frozenset()

    def __init__(self) -> None:
        super().__init__(Quantity("unmeasurable", "", "neither"))

    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        raise MediaError("cannot be measured")
