"""First passes kept on disk, so that a video with another audio need not be analysed again.

An entry is named by a fingerprint of everything its content depends on: the bytes of the video, the
options of the analysis, the bytes of the weights and the code. It can be absent or right, never
stale.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retalking.arrays import scratch
from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.cache_folder import code_version, entry_path, make_private
from retalking.errors import MediaError
from retalking.files import sha256_of
from retalking.locations import user_cache
from retalking.types import FaceCoefficients, FaceTrack, VideoAnalysis, VideoInfo

logger = logging.getLogger(__name__)

_TRACK = ("boxes_px", "landmarks_px", "confidence", "detected", "shot_id")
_COEFFICIENTS = ("expression", "angle", "translation", "crop")


def default_cache_folder() -> Path:
    """Return this program's folder in the user's cache."""
    return user_cache() / "retalking"


def fingerprint(files: Iterable[Path], options: object) -> str:
    """Return 32 hex digits that change with any byte of the files or the code, or any option.

    Args:
        files: the video, and the weights that the analysis uses.
        options: anything with an exact ``repr``.
    """
    parts = [code_version(), repr(options), *(sha256_of(file) for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class AnalysisCache:
    """A folder of first passes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str, info: VideoInfo) -> VideoAnalysis | None:
        """Return an entry, or ``None`` if there is none that can be read.

        Args:
            key: of ``fingerprint``.
            info: of the source, which is not stored.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            arrays = read_arrays(path)
            track = {name: arrays[f"track.{name}"] for name in _TRACK}
            depth = arrays["track.depth_px"]
            coefficients = {name: arrays[f"coefficients.{name}"] for name in _COEFFICIENTS}
            pts, crops = arrays["pts"], arrays["crops"]
            lengths = {
                len(array) for array in (*track.values(), *coefficients.values(), pts, crops)
            }
            if len(lengths) > 1:
                raise ValueError(f"arrays of {sorted(lengths)} frames")
            if not all(_is_finite(array) for array in arrays.values()):
                raise ValueError("numbers that are not finite")
            face_track = FaceTrack(**track, depth_px=depth if depth.size else None)
            with contextlib.suppress(OSError):
                os.utime(path)  # what was used last goes last
            return VideoAnalysis(info, pts, face_track, crops, FaceCoefficients(**coefficients))
        except Exception as error:  # numpy and zipfile raise errors of every kind on damaged files
            logger.warning("%s: damaged, analysing again (%s)", path, error)
            return None

    def save(self, key: str, analysis: VideoAnalysis) -> None:
        """Store an entry; a folder that cannot be written to is reported and nothing more."""
        arrays = {f"track.{name}": getattr(analysis.track, name) for name in _TRACK}
        depth = analysis.track.depth_px
        arrays["track.depth_px"] = np.empty(0, np.float32) if depth is None else depth
        for name in _COEFFICIENTS:
            arrays[f"coefficients.{name}"] = getattr(analysis.coefficients, name)
        try:
            make_private(self._folder)
            write_arrays(self._path(key), arrays | {"pts": analysis.pts, "crops": analysis.crops})
        except (OSError, MediaError) as error:
            logger.warning("the face analysis is not kept for next time: %s", error)

    def _path(self, key: str) -> Path:
        return entry_path(self._folder, key)


def _is_finite(array: NDArray[Any]) -> bool:
    return all(np.isfinite(array[rows]).all() for rows in scratch.blocks(len(array)))
