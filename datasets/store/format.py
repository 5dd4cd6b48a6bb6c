"""How a prepared store lies on disk, and writing to it.

    STORE/store.json          version, settings of the preparation, parts
    STORE/index.npy           one record per clip, memory-mapped when read
    STORE/tracks/ab/CLIP.safetensors         by frame: times, landmarks, crops, mels
    STORE/PART/ab/CLIP.safetensors           pictures (``lips_96``, ...) or more numbers
    STORE/outcomes/ab/CLIP.json              what became of each row of the manifest
    STORE/report.json                        summary of the last preparation

A clip of the store is an uninterrupted run of one face at 25 frames per second, so that any
consecutive frames of it may be used together. ``ab`` spreads the files over 256 folders. A file is
complete or not there, and parts can be added to a store later without touching the others.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import safetensors.numpy

from retalking.errors import ConfigError, MediaError
from retalking.files import replacing
from retalking.types import UInt8Array

VERSION = 1
FRAME_RATE = 25
"""Frames per second of every stored clip; five of them are the 0.2 s of a mel window."""
TRACKS, OUTCOMES, COEFFICIENTS = "tracks", "outcomes", "coefficients"
LIPS, STABILISER, NEUTRAL, ENHANCED = "lips", "stabiliser", "neutral", "enhanced"
"""Pictures; the size in pixels follows after ``_``. The last two are made by ``extension``."""
MAX_NAME_BYTES = 120
RUN_MARK = "#"
"""Between the name of a video and the number of a further run of the face in it."""

INDEX_DTYPE = np.dtype(
    [
        ("clip", f"S{MAX_NAME_BYTES}"),
        ("identity", f"S{MAX_NAME_BYTES}"),
        ("split", "S32"),
        ("num_frames", "<i4"),
        ("has_speech", "?"),
        ("lip_native_px", "<f4"),
        ("stabiliser_native_px", "<f4"),
        ("opening_mean", "<f4"),
        ("opening_std", "<f4"),
        ("parts", "<u8"),
    ]
)
"""A record of the index; bit ``n`` of ``parts`` says that the store's n-th part has the clip."""


@dataclass(frozen=True)
class StoreInfo:
    """Content of ``store.json``.

    Attributes:
        settings: of the preparation; adding to a store needs the same ones.
        parts: folders that may hold a file per clip, besides ``tracks``.
    """

    settings: Mapping[str, Any]
    parts: tuple[str, ...]


def part_path(folder: Path, part: str, clip: str, suffix: str = ".safetensors") -> Path:
    """Return where a part of a clip is."""
    shard = f"{zlib.crc32(clip.encode()) & 0xFF:02x}"
    return folder / part / shard / f"{quote(clip, safe=' ,;=@+')}{suffix}"


def read_store_info(folder: Path) -> StoreInfo:
    """Read ``store.json``.

    Raises:
        ConfigError: not a store, damaged, or of another version.
    """
    path = folder / "store.json"
    if not path.is_file():
        raise ConfigError(
            f"{folder}: not a prepared store (no store.json); make one with "
            "python -m scripts.prepare.clips"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, settings, parts = (content[key] for key in ("version", "settings", "parts"))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: damaged ({error!r}); prepare the store again") from error
    if version != VERSION:
        raise ConfigError(
            f"{path}: got store version {version}, expected {VERSION}; prepare the store again"
        )
    return StoreInfo(settings, tuple(parts))


def write_store_info(folder: Path, info: StoreInfo) -> None:
    """Write ``store.json``.

    Raises:
        MediaError: it cannot be written.
    """
    content = {"version": VERSION, "settings": dict(info.settings), "parts": list(info.parts)}
    write_json(folder / "store.json", content)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, complete or not at all.

    Raises:
        MediaError: it cannot be written, for example because the disk is full.
    """
    _write(path, (json.dumps(content, indent=1) + "\n").encode())


def write_part(
    folder: Path,
    part: str,
    clip: str,
    arrays: Mapping[str, np.ndarray],
    notes: Mapping[str, str] | None = None,
) -> int:
    """Write arrays of a clip, complete or not at all.

    Returns:
        Bytes written.

    Raises:
        MediaError: they cannot be written, for example because the disk is full.
    """
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = safetensors.numpy.save(content, metadata=dict(notes or {}))
    _write(part_path(folder, part, clip), data)
    return len(data)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written: {error.strerror or error}") from error
    with replacing(path) as partial:
        partial.write_bytes(data)


def pack_pictures(pictures: list[bytes]) -> dict[str, np.ndarray]:
    """Lay encoded pictures one behind the other: ``data`` uint8 ``[N]``, ``ends`` int64 ``[T]``."""
    ends = np.cumsum([len(picture) for picture in pictures], dtype=np.int64)
    return {"data": np.frombuffer(b"".join(pictures), np.uint8), "ends": ends}


def encode_jpeg(rgb: UInt8Array, quality: int) -> bytes:
    """Encode ``[H, W, 3]`` without chroma subsampling, which would blur lips of a 96 px face."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"picture {list(rgb.shape)} cannot be encoded as JPEG")
    return data.tobytes()
