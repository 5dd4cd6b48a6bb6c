"""Small media files made on the spot, with PyAV alone, for every test that needs one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def moving_picture(index: int, width: int = 64, height: int = 64) -> np.ndarray:
    """Frame ``index`` of a smooth scene, uint8 ``[H, W, 3]``: gradients and a square that walks.

    The square also carries the index in its brightness, so that frames can be told apart.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack(
        [
            128 + 80 * np.sin(x / 19 + index / 7),
            128 + 80 * np.cos(y / 23 - index / 9),
            128 + 60 * np.sin((x + y) / 31),
        ],
        axis=-1,
    )
    side = max(2, min(width, height) // 4)
    left = (3 * index) % max(1, width - side)
    top = (2 * index) % max(1, height - side)
    picture[top : top + side, left : left + side] = 30 + (index * 37) % 200
    return picture.round().astype(np.uint8)


def write_video(
    path: Path,
    num_frames: int = 10,
    *,
    width: int = 64,
    height: int = 64,
    rate: Fraction = Fraction(25),
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rotation_ccw_deg: int = 0,
    space: int = 2,
    color_range: int = 0,
    pictures: Sequence[np.ndarray] | None = None,
    audio: np.ndarray | None = None,
    audio_rate_hz: int = 16000,
    codec_options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> list[np.ndarray]:
    """Encode a clip and return the pictures that went in, upright as stored.

    Args:
        path: the suffix chooses the container.
        num_frames: how many pictures of `moving_picture`, unless ``pictures`` are given.
        width: pixels across.
        height: pixels down.
        rate: nominal frames per second.
        pts: ticks of ``time_base`` per frame, for a variable frame rate.
        time_base: seconds per tick, ``1 / rate`` unless given.
        codec: FFmpeg's encoder name.
        pixel_format: stored pixel format.
        rotation_ccw_deg: the display matrix' angle, as phones write it.
        space: YUV matrix code that is tagged and used; 2 leaves it untagged (BT.601 is used).
        color_range: 1 limited, 2 full, 0 untagged (limited is used).
        pictures: what to show instead.
        audio: float mono in [-1, 1] for an AAC (or Opus in WebM) track.
        audio_rate_hz: its sample rate.
        codec_options: further encoder options, such as the key frame interval.
        aspect: sample aspect ratio.
    """
    shown = list(pictures or (moving_picture(i, width, height) for i in range(num_frames)))
    height, width = shown[0].shape[:2]
    base = time_base or 1 / rate
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=codec_options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        _describe(stream, base, space, color_range, aspect, rotation_ccw_deg)
        name = "libopus" if path.suffix == ".webm" else "aac"
        sound = None
        if audio is not None:
            sound = container.add_stream(name, rate=audio_rate_hz, layout="mono")
        for index, picture in enumerate(shown):
            frame = _to_frame(picture, pixel_format, space, color_range)
            frame.pts, frame.time_base = index if pts is None else int(pts[index]), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _encode_sound(container, sound, audio)
    return shown


def _describe(
    stream: av.VideoStream,
    time_base: Fraction,
    space: int,
    color_range: int,
    aspect: Fraction | None,
    rotation_ccw_deg: int,
) -> None:
    context = stream.codec_context
    stream.time_base = context.time_base = time_base
    context.colorspace, context.color_range = space, color_range
    if aspect is not None:
        context.sample_aspect_ratio = aspect
    if rotation_ccw_deg:
        stream.set_display_rotation(rotation_ccw_deg)


def _encode_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, samples: np.ndarray
) -> None:
    frame = av.AudioFrame.from_ndarray(
        np.asarray(samples, np.float32)[None], format="fltp", layout="mono"
    )
    frame.sample_rate, frame.pts = stream.rate, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _to_frame(
    picture: np.ndarray, pixel_format: str, space: int, color_range: int
) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    if pixel_format in ("rgb24", "bgr0", "gbrp", "pal8", "rgb8"):
        return frame
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=5 if space == 2 else space,
        dst_color_range=color_range or 1,
        interpolation="AREA",
    )


def speech_like(seconds: float, rate_hz: int = 16000, seed: int = 0) -> np.ndarray:
    """Float32 ``[N]``: a buzzing voice with syllables and pauses, never the same twice in a row."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    partials = [np.sin(k * phase) / k for k in range(1, 9) if k * 150 < rate_hz / 2]
    loudness = np.interp(
        time_s,
        np.arange(0, seconds + 1, 0.12),
        rng.uniform(0, 1, 9 * 999)[: len(np.arange(0, seconds + 1, 0.12))],
    )
    noise = rng.normal(0, 0.05, len(time_s))
    return (0.25 * loudness**2 * (sum(partials) + noise)).astype(np.float32)


def tone(seconds: float, hz: float = 440.0, rate_hz: int = 16000) -> np.ndarray:
    """Float32 ``[N]``: a sine of half scale."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(
        np.float32
    )


def write_audio(
    path: Path,
    samples: np.ndarray,
    rate_hz: int = 16000,
    codec: str = "pcm_s16le",
    layout: str | None = None,
) -> None:
    """Encode float ``[N]`` (mono) or ``[C, N]`` samples; the suffix chooses the container."""
    channels = np.atleast_2d(np.asarray(samples, np.float32))
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(channels)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        container.start_encoding()
        if channels.shape[1]:
            packed = np.ascontiguousarray(channels.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate_hz, 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
