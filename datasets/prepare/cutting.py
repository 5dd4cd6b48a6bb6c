"""Cut pictures, frames and sound of a video to what a store keeps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from datasets.store.format import FRAME_RATE
from retalking.errors import MediaError
from retalking.face.crops import STABILISER_PX, cut
from retalking.media.container import decode_frames, open_input
from retalking.media.sound.mel import SAMPLE_RATE_HZ, WINDOW_STEPS, MelSpectrogram
from retalking.types import AudioClip, FaceTrack, Float64Array, IntArray, UInt8Array

_MEL_MARGIN_S = 0.5
_SQUARE_TOLERANCE = 0.05
RATE_TOLERANCE = 0.01
"""Relative difference of frame rates that are taken for the same."""


def cut_sizes(
    rgb: UInt8Array, crop: Float64Array, crop_px: int, sizes_px: tuple[int, ...], name: str
) -> dict[str, UInt8Array]:
    """Cut a crop once and resize it as the networks do (bilinear, not averaged).

    Args:
        rgb: frame ``[H, W, 3]``.
        crop: ``[2, 3]``, frame to crop.
        crop_px: side of the crop.
        sizes_px: wanted sides.
        name: of the crop; the result is keyed ``NAME_SIZE``.
    """
    if not sizes_px:
        return {}
    full = cut(rgb, crop, crop_px)
    return {
        f"{name}_{size}": full
        if size == crop_px
        else cv2.resize(full, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
        for size in sizes_px
    }


def native_size(crops: Float64Array, crop_px: int) -> float:
    """Median side of crops ``[F, 2, 3]`` in pixels of the frame."""
    areas = np.abs(np.linalg.det(crops[:, :, :2]))
    return float(np.median(crop_px / np.sqrt(np.maximum(areas, 1e-12))))


def whole_frame(size_px: tuple[int, int], count: int) -> Float64Array:
    """Crops of D-Net that are the whole frame: float64 ``[count, 2, 3]``, frame to 256 px.

    Args:
        size_px: width and height of the frame.
        count: of the frames.

    Raises:
        MediaError: it is far from a square, so that it is no crop of a face.
    """
    width, height = size_px
    if abs(width / height - 1) > _SQUARE_TOLERANCE:
        raise MediaError(
            f"a frame of {width}x{height} px is no crop of a face, which is square; use "
            "--stabiliser-extent ffhq"
        )
    crop = np.zeros((2, 3))
    for axis, side in enumerate(size_px):
        crop[axis, axis] = STABILISER_PX / side
        crop[axis, 2] = (crop[axis, axis] - 1) / 2  # from pixel edge to pixel edge
    return np.repeat(crop[None], count, axis=0)


def share_outside(crops: Float64Array, crop_px: int, size_px: tuple[int, int]) -> float:
    """Median share of upright crops ``[F, 2, 3]`` that lies beyond the frame, 0..1.

    Args:
        crops: frame to crop.
        crop_px: side of the crop.
        size_px: width and height of the frame.
    """
    inside = np.ones(len(crops))
    for axis, side in enumerate(size_px):
        scale, shift = crops[:, axis, axis], crops[:, axis, 2]
        low, high = ((edge - shift) / scale + 0.5 for edge in (-0.5, crop_px - 0.5))
        inside *= (np.minimum(high, side) - np.maximum(low, 0)).clip(0) / (high - low)
    return float(np.median(1 - inside)) if len(inside) else 0.0


def resample_frames(times_s: Float64Array) -> IntArray:
    """Return the frames nearest to every 1/25 s: all of them in a video of that rate."""
    if len(times_s) < 2:
        return np.arange(len(times_s))
    gaps = np.diff(times_s)
    if np.abs(gaps * FRAME_RATE - 1).max() < RATE_TOLERANCE:
        return np.arange(len(times_s))
    end_s = times_s[-1] + np.median(gaps)
    grid_s = np.arange(int(end_s * FRAME_RATE + 1e-6)) / FRAME_RATE
    return np.searchsorted((times_s[1:] + times_s[:-1]) / 2, grid_s)


def take_frames(track: FaceTrack, frames: IntArray | slice) -> FaceTrack:
    """Return some frames of a track."""
    return FaceTrack(
        track.boxes_px[frames],
        track.landmarks_px[frames],
        track.confidence[frames],
        track.detected[frames],
        track.shot_id[frames],
        None if track.depth_px is None else track.depth_px[frames],
    )


def audio_start_s(path: Path) -> float:
    """Return when the sound of a file begins, on the clock of its video.

    Raises:
        MediaError: no audio can be decoded.
    """
    with open_input(path) as container:
        frame = next(decode_frames(container, container.streams.audio[0], path), None)
        return float(frame.time or 0.0) if frame is not None else 0.0


def cut_mel(mel: MelSpectrogram, times_s: Float64Array) -> dict[str, np.ndarray]:
    """Cut the spectrogram of a run, with a margin on both sides.

    Args:
        mel: of the whole audio.
        times_s: ``[F]``, the moment of the audio that each frame shows.

    Returns:
        ``mel`` float16 ``[S, 80]`` and ``mel_start`` int64 ``[F]``, first column of each window.
    """
    starts = mel.starts(times_s)
    margin = round(_MEL_MARGIN_S * mel.steps_per_second)
    low = int(np.clip(starts[0] - margin, 0, len(mel)))
    high = int(np.clip(starts[-1] + WINDOW_STEPS + margin, low, len(mel)))
    return {"mel": mel.mel[:, low:high].T.astype(np.float16), "mel_start": starts - low}


def cut_audio(speech: AudioClip, times_s: Float64Array) -> np.ndarray:
    """Cut the samples of a run, int16 ``[N]``; silence where there are none."""
    begin = round(times_s[0] * SAMPLE_RATE_HZ)
    count = round((times_s[-1] - times_s[0] + 1 / FRAME_RATE) * SAMPLE_RATE_HZ)
    wanted = np.arange(begin, begin + count)
    inside = (wanted >= 0) & (wanted < len(speech.samples))
    wave = np.zeros(count, np.float32)
    wave[inside] = speech.samples[wanted[inside]]
    return np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16)
