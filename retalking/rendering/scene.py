"""A video that has been looked at: its frames, what the first pass knows, and where faces lie."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import numpy as np

from retalking.face.crops import LIP_PX, Pads, anchors_of, lip_crops_of, smooth_anchors
from retalking.media.source import Source
from retalking.types import Float64Array, IntArray, VideoAnalysis


@dataclass(frozen=True)
class Scene:
    """What everything that is done with a video starts from.

    A context manager: leaving it closes the video.

    Attributes:
        source: the video.
        analysis: of it.
        pads: room around the face in the lip crop.
        anchors_px: float64 ``[F, 3, 2]``, eyes and nose in each frame.
        to_lips: float64 ``[F, 2, 3]``, frame to lip crop.
    """

    source: Source
    analysis: VideoAnalysis
    pads: Pads
    anchors_px: Float64Array
    to_lips: Float64Array

    @classmethod
    def place(cls, source: Source, analysis: VideoAnalysis, pads: Pads, smooth: bool) -> Scene:
        """Place the lip crops.

        Args:
            source: the video.
            analysis: of it.
            pads: room around the face.
            smooth: whether eyes and nose are smoothed over time.
        """
        track = analysis.track
        anchors = smooth_anchors(track) if smooth else anchors_of(track)
        return cls(source, analysis, pads, anchors, lip_crops_of(anchors, pads))

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the video."""
        self.source.close()

    def landmarks_px(self, frames: IntArray) -> Float64Array:
        """Return the landmarks ``[A, 68, 2]`` of frames ``[A]``."""
        return self.analysis.track.landmarks_px[frames].astype(np.float64)

    @property
    def face_height_px(self) -> float:
        """Typical height of the lip crop in pixels of the frame."""
        detected = self.analysis.track.detected
        heights_px = LIP_PX / np.linalg.norm(self.to_lips[detected, 1, :2], axis=-1)
        return float(np.median(heights_px))
