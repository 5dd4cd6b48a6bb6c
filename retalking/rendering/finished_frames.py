"""Finished chunks of a job kept on disk until it ends, so that an interrupted one goes on.

Only the changed box of each frame is kept, losslessly: the rest is in the source. A folder belongs
to one job, named by a fingerprint of its inputs, weights and options.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from retalking.arrays.sealed import SUFFIX, read_arrays, write_arrays
from retalking.cache_folder import forget_job, make_private
from retalking.errors import MediaError
from retalking.rendering.parts import Part
from retalking.types import Float64Array, UInt8Array

logger = logging.getLogger(__name__)

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # of newer versions: one filter takes half the time of all
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


@dataclass(frozen=True)
class FinishedChunk:
    """Frames as they go into the output.

    Attributes:
        rgb: uint8 ``[T, H, W, 3]``.
        drift_px: float64 ``[T, ...]`` of ``Begun``, which the frames beside them need.
    """

    rgb: UInt8Array
    drift_px: Float64Array


class FinishedFrames:
    """The folder of one job.

    Attributes:
        folder: named by the job's fingerprint.
    """

    def __init__(self, folder: Path, only: Part | None = None) -> None:
        """Use a folder of ``job_folder``, which need not exist.

        Args:
            folder: of the job.
            only: save no chunks but those that begin within.
        """
        self.folder = folder
        self._only = only
        self._usable = True

    def load(self, start: int, source: UInt8Array) -> FinishedChunk | None:
        """Return a chunk, or ``None`` if it is not here in full.

        Args:
            start: number of its first output frame.
            source: its source frames, uint8 ``[T, H, W, 3]``.
        """
        path = self._path(start)
        if not path.is_file():
            return None
        try:
            arrays = read_arrays(path)
            boxes, drift = arrays["boxes"], arrays["drift_px"]
            pictures = np.split(arrays["png"], np.cumsum(arrays["sizes"])[:-1])
            if len(drift) != len(source):
                raise ValueError(f"{len(drift)} frames, expected {len(source)}")
            rgb = source.copy()
            for frame, (x1, y1, x2, y2), png in zip(rgb, boxes.tolist(), pictures, strict=True):
                if x2 > x1:
                    bgr = cv2.imdecode(png, cv2.IMREAD_COLOR)
                    if bgr is None:
                        raise ValueError("a picture cannot be decoded")
                    frame[y1:y2, x1:x2] = bgr[..., ::-1]
        except Exception as error:  # numpy and OpenCV raise errors of every kind
            logger.warning("%s: damaged, computing its frames again (%s)", path, error)
            return None
        return FinishedChunk(rgb, drift)

    def save(self, start: int, source: UInt8Array, finished: FinishedChunk) -> None:
        """Keep a chunk; if that fails, say so once and do without from then on.

        Args:
            start: number of its first output frame.
            source: its source frames.
            finished: the same frames, edited.
        """
        if not self._usable or not self._is_asked_for(start):
            return
        boxes = [_changed_box(a, b) for a, b in zip(source, finished.rgb, strict=True)]
        pictures = [
            _encode(frame[y1:y2, x1:x2])
            for frame, (x1, y1, x2, y2) in zip(finished.rgb, boxes, strict=True)
        ]
        try:
            make_private(self.folder)
            write_arrays(
                self._path(start),
                {
                    "boxes": np.array(boxes, dtype=np.int64),
                    "sizes": np.array([len(png) for png in pictures], dtype=np.int64),
                    "png": np.concatenate(pictures),
                    "drift_px": finished.drift_px,
                },
            )
        except (OSError, MediaError) as error:
            self._usable = False
            logger.warning("finished frames are not kept; an interruption loses them: %s", error)

    def clear(self) -> None:
        """Delete what is kept of the job."""
        forget_job(self.folder)

    def _is_asked_for(self, start: int) -> bool:
        return self._only is None or self._only[0] <= start < self._only[1]

    def _path(self, start: int) -> Path:
        return self.folder / f"{start:08d}{SUFFIX}"


def _changed_box(before: UInt8Array, after: UInt8Array) -> tuple[int, int, int, int]:
    """Smallest box x1, y1, x2, y2 that holds all differing pixels; zeros if there are none."""
    difference = cv2.absdiff(before, after).reshape(len(before), -1)  # colours side by side
    x, y, width, height = cv2.boundingRect(difference)
    return x // 3, y, -(-(x + width) // 3), y + height


def _encode(rgb: UInt8Array) -> UInt8Array:
    if rgb.size == 0:
        return np.empty(0, dtype=np.uint8)
    _, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _PNG)
    return png.astype(np.uint8, copy=False)
