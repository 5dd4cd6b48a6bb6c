"""Small prepared stores whose content tells where it came from, without any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.lips import HEARD
from datasets.prepare.settings import PreparationSettings
from datasets.store.format import (
    COEFFICIENTS,
    TRACKS,
    StoreInfo,
    encode_jpeg,
    pack_pictures,
    write_part,
    write_store_info,
)
from datasets.store.index import build_index
from retalking.config import load_config
from retalking.locations import CONFIGS
from tests.faces import frontal_landmarks

HEARD_CHANNELS = 16


def picture_of(clip: int, frame: int, size_px: int) -> np.ndarray:
    """A flat colour that names clip and frame, with a bright left edge to see flips by."""
    picture = np.full((size_px, size_px, 3), (20 + 8 * clip, 4 * frame, 120), np.uint8)
    picture[:, : size_px // 4] = 250
    return picture


def write_clip(
    folder: Path,
    clip: int,
    num_frames: int = 30,
    *,
    split: str = "train",
    size_px: int = 32,
    parts: tuple[str, ...] = ("lips", "stabiliser", "coefficients", "heard"),
    speech: bool = True,
) -> str:
    """Write one clip; mel cells hold the column number / 100, the opening the frame / 100."""
    name = f"clip{clip:03d}"
    frames = np.arange(num_frames)
    points = np.tile(frontal_landmarks(60), (num_frames, 1, 1)) + 200
    identity_crop = np.tile(np.eye(2, 3), (num_frames, 1, 1))
    numbers = {
        "source_frame": frames,
        "time_s": frames / 25,
        "landmarks_px": points.astype(np.float32),
        "depth_px": np.zeros((num_frames, 68), np.float32),
        "confidence": np.ones(num_frames, np.float32),
        "lip_crop": identity_crop,
        "stabiliser_crop": identity_crop,
        "opening": (frames / 100).astype(np.float32),
        "pose": np.tile((frames % 10)[:, None], (1, 42)).astype(np.float32),
    }
    if speech:
        columns = np.arange(num_frames * 80 // 25 + 20)
        numbers["mel"] = np.tile(columns[:, None] / 100, (1, 80)).astype(np.float16)
        numbers["mel_start"] = frames * 80 // 25
    notes = {"identity": f"person{clip}", "split": split, "media": f"{name}.mp4"}
    notes |= {"lip_native_px": str(100 + clip), "stabiliser_native_px": "200"}
    for part in ("lips", "stabiliser"):
        if part in parts:
            jpegs = [encode_jpeg(picture_of(clip, n, size_px), 95) for n in frames]
            write_part(folder, f"{part}_{size_px}", name, pack_pictures(jpegs))
    if "coefficients" in parts:
        rows = np.tile(frames[:, None], (1, 64)).astype(np.float32)
        arrays = {"expression": rows} | dict.fromkeys(("angle", "translation", "crop"), rows[:, :3])
        write_part(folder, COEFFICIENTS, name, arrays)
    if "heard" in parts and speech:
        write_part(folder, HEARD, name, heard_features(clip, num_frames))
    write_part(folder, TRACKS, name, numbers, notes)
    return name


def heard_features(clip: int, num_frames: int) -> dict[str, np.ndarray]:
    """Features of 16 channels: the clean copy holds step / 100, others what a clip's seed says."""
    rng = np.random.default_rng(clip)
    steps = np.arange(2 * num_frames)[:, None]
    clean = np.tile(steps / 100, (1, HEARD_CHANNELS)).astype(np.float16)
    return {"0": clean, "1": rng.standard_normal(clean.shape).astype(np.float16)}


def preparation(**changes: object) -> PreparationSettings:
    """Return the usual settings but for some."""
    settings = load_config(PreparationSettings, CONFIGS / "prepare" / "clips.yaml")
    return settings.model_copy(update=changes)


def write_store(folder: Path, num_clips: int = 4, size_px: int = 32) -> Path:
    """Write a store of clips of 20, 21, ... frames, the last one for validation."""
    settings = preparation().model_dump(mode="json")
    parts = (f"lips_{size_px}", f"stabiliser_{size_px}", COEFFICIENTS, HEARD)
    folder.mkdir()
    write_store_info(folder, StoreInfo(settings, parts))
    names = [
        write_clip(
            folder,
            clip,
            20 + clip,
            size_px=size_px,
            split="val" if clip == num_clips - 1 else "train",
        )
        for clip in range(num_clips)
    ]
    build_index(folder, names)
    return folder
