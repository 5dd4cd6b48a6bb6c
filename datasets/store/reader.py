"""Reading a prepared store at random: cost per sample does not depend on the number of clips."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors

from datasets.store.format import (
    COEFFICIENTS,
    FRAME_RATE,
    INDEX_DTYPE,
    TRACKS,
    part_path,
    read_store_info,
)
from retalking.errors import ConfigError, MediaError
from retalking.face.affine import transform_points
from retalking.face.crops import LIP_PX, STABILISER_PX
from retalking.media.sound.mel import SILENCE, STEPS_PER_SECOND, WINDOW_STEPS
from retalking.types import FaceCoefficients, FloatArray, IntArray, UInt8Array

_MAX_OPEN_CLIPS = 256
CROP_PX = {"lip": LIP_PX, "stabiliser": STABILISER_PX}
"""Side of what the stored crop matrices map to."""


class Store:
    """A prepared store, opened for reading. It may be pickled and used in any process.

    Attributes:
        folder: where it is.
        info: version and settings.
        index: memory-mapped records of ``INDEX_DTYPE``, one per clip.
    """

    def __init__(self, folder: Path) -> None:
        """Open a store.

        Raises:
            ConfigError: no store, of another version, or without an index.
        """
        self.folder = Path(folder)
        self.info = read_store_info(self.folder)
        path = self.folder / "index.npy"
        try:
            self.index = np.load(path, mmap_mode="r")
            if self.index.dtype != INDEX_DTYPE or self.index.ndim != 1:
                raise ValueError(f"records of another form: {self.index.dtype}")
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(
                f"{path}: the index cannot be read ({error}); finish the preparation"
            ) from error
        self._open: OrderedDict[str, StoredClip] = OrderedDict()

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.folder,)

    def __len__(self) -> int:
        return len(self.index)

    def select(self, needs: ClipFilter) -> IntArray:
        """Return the rows of the clips that fit, int64 ``[N]``.

        Raises:
            ConfigError: none fits; the message says which condition leaves none.
        """
        index = self.index
        kept = np.ones(len(index), np.bool_)
        for name, condition in needs.conditions(index, self.info.parts).items():
            kept &= condition
            if not kept.any():
                raise ConfigError(
                    f"{self.folder}: none of {len(index)} clips is left by the condition {name}"
                )
        return np.flatnonzero(kept)

    def clip(self, row: int) -> StoredClip:
        """Return the clip of an index row; the most recent ones stay open."""
        name = self.index["clip"][row].decode()
        found = self._open.pop(name, None) or StoredClip(self.folder, name)
        self._open[name] = found
        if len(self._open) > _MAX_OPEN_CLIPS:
            self._open.popitem(last=False)
        return found


@dataclass(frozen=True)
class ClipFilter:
    """Which clips a loader can use.

    Attributes:
        splits: names of splits.
        parts: parts that must be there.
        min_frames: shortest usable clip.
        speech: whether a mel spectrogram is needed.
        min_native_px: ``lip_native_px`` or ``stabiliser_native_px`` at least, by name.
    """

    splits: Sequence[str]
    parts: Sequence[str] = ()
    min_frames: int = 1
    speech: bool = False
    min_native_px: Mapping[str, float] | None = None

    def conditions(self, index: np.ndarray, parts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each condition with the rows bool ``[N]`` that meet it."""
        splits = [split.encode() for split in self.splits]
        found = {f"split in {', '.join(self.splits)}": np.isin(index["split"], splits)}
        for part in self.parts:
            bit = 1 << parts.index(part) if part in parts else 0
            found[f"part {part} is prepared"] = (index["parts"] & np.uint64(bit)) > 0
        found[f"at least {self.min_frames} frames"] = index["num_frames"] >= self.min_frames
        if self.speech:
            found["has speech"] = index["has_speech"]
        for name, least in (self.min_native_px or {}).items():
            found[f"{name} at least {least:g}"] = index[name] >= least
        return found


class StoredClip:
    """One clip of a store. ``F`` counts its frames; ``frames`` are indices ``[T]`` of them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._files: dict[str, Any] = {}

    def array(self, part: str, name: str) -> np.ndarray:
        """Read a whole array."""
        return self._file(part).get_tensor(name)

    def rows(self, part: str, name: str, start: int, stop: int) -> np.ndarray:
        """Read rows ``start`` to ``stop`` of an array."""
        return self._file(part).get_slice(name)[start:stop]

    def array_names(self, part: str) -> list[str]:
        """Names of the arrays of a part."""
        return list(self._file(part).keys())

    def notes(self, part: str = TRACKS) -> dict[str, str]:
        """Read what the manifest and the preparation say about the clip."""
        return self._file(part).metadata() or {}

    def pictures(self, part: str, frames: IntArray | range) -> UInt8Array:
        """Decode pictures, uint8 ``[T, S, S, 3]``.

        Raises:
            MediaError: a picture is damaged.
        """
        ends = self.array(part, "ends")
        decoded = []
        for frame in frames:
            start = int(ends[frame - 1]) if frame else 0
            data = self.rows(part, "data", start, int(ends[frame]))
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
            if picture is None:
                raise MediaError(
                    f"{part_path(self._folder, part, self.name)}: the JPEG of frame {frame} is "
                    "damaged; delete the clip's files and prepare it again"
                )
            decoded.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        return np.stack(decoded).astype(np.uint8, copy=False)

    def mel_windows(self, start: int, stop: int, lead_frames: int = 0) -> FloatArray:
        """Read the mel windows of consecutive frames, float32 ``[T, 1, 80, 16]`` in [-4, 4].

        Args:
            start: first frame.
            stop: frame after the last.
            lead_frames: by how many frames the windows begin earlier than the frames.
        """
        frames = np.arange(start, stop) - lead_frames
        starts = self.array(TRACKS, "mel_start")
        first = starts[np.maximum(frames, 0)]
        first = first + np.minimum(frames, 0) * STEPS_PER_SECOND // FRAME_RATE
        low, high = int(first.min()), int(first.max()) + WINDOW_STEPS
        stored = self._file(TRACKS).get_slice("mel")
        size, num_bands = stored.get_shape()
        first_step, end_step = int(np.clip(low, 0, size)), int(np.clip(high, 0, size))
        steps = np.full((high - low, num_bands), SILENCE, np.float32)
        if first_step < end_step:  # safetensors refuses an empty slice at the end
            steps[first_step - low : end_step - low] = stored[first_step:end_step]
        windows = steps[(first - low)[:, None] + np.arange(WINDOW_STEPS)]
        return np.ascontiguousarray(windows.transpose(0, 2, 1)[:, None])

    def landmarks(self, crop: str, start: int, stop: int, size_px: int) -> FloatArray:
        """Read landmarks in the pixels of a crop.

        Args:
            crop: ``lip`` or ``stabiliser``.
            start: first frame.
            stop: frame after the last.
            size_px: side of the stored pictures of that crop.

        Returns:
            float32 ``[T, 68, 2]``.
        """
        crops = self.rows(TRACKS, f"{crop}_crop", start, stop)
        points = self.rows(TRACKS, "landmarks_px", start, stop).astype(np.float64)
        # Half a pixel is the same share of the side at every size.
        placed = (transform_points(crops, points) + 0.5) * (size_px / CROP_PX[crop]) - 0.5
        return placed.astype(np.float32)

    def coefficients(self) -> FaceCoefficients:
        """Read the 3DMM coefficients of all frames."""
        names = ("expression", "angle", "translation", "crop")
        return FaceCoefficients(**{name: self.array(COEFFICIENTS, name) for name in names})

    def _file(self, part: str) -> Any:
        found = self._files.get(part)
        if found is None:
            path = part_path(self._folder, part, self.name)
            try:
                found = safetensors.safe_open(path, framework="numpy")
            except FileNotFoundError as error:
                raise MediaError(f"{path}: missing from the store; prepare it again") from error
            except (OSError, safetensors.SafetensorError) as error:
                raise MediaError(f"{path}: damaged ({error}); prepare it again") from error
            self._files[part] = found
        return found
