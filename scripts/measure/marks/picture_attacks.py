"""What happens to pictures on their way through the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from retalking.media.video import VideoReader
from retalking.types import UInt8Array

Change = Callable[[UInt8Array], UInt8Array]


@dataclass(frozen=True)
class Clip:
    """Frames uint8 ``[H, W, 3]`` at a constant rate."""

    frames: tuple[UInt8Array, ...]
    rate: Fraction


@dataclass(frozen=True)
class PictureAttack:
    """Something that happens to a video.

    Attributes:
        change: of each frame.
        rate: frames per second afterwards; ``None`` leaves them.
        keep: share of the frames that is left, from the end.
        codec: that compresses the result.
        crf: its quality.
        times: how often it is compressed, every time a little more.
    """

    change: Change | None = None
    rate: int | None = None
    keep: float = 1.0
    codec: str = "libx264"
    crf: int = 23
    times: int = 1
    options: dict[str, str] = field(default_factory=dict)

    def apply(self, clip: Clip, path: Path) -> None:
        """Write what becomes of a clip."""
        frames = list(clip.frames[len(clip.frames) - round(self.keep * len(clip.frames)) :])
        rate = clip.rate
        if self.rate is not None:
            count = round(len(frames) * self.rate / rate)
            index = np.minimum(np.arange(count) * float(rate) / self.rate, len(frames) - 1)
            frames, rate = [frames[int(i)] for i in index], Fraction(self.rate)
        if self.change is not None:
            frames = [self.change(frame) for frame in frames]
        clip = Clip(tuple(frames), rate)
        for turn in range(self.times):
            write_clip(clip, path, self.codec, self.crf + 3 * turn, self.options)
            if turn + 1 < self.times:
                clip = read_clip(path)


def read_clip(path: Path, max_seconds: float = 60.0) -> Clip:
    """Read a video that is short enough to be held in memory."""
    with VideoReader(path) as reader:
        rate = reader.info.frame_rate
        limit = int(max_seconds * rate)
        frames: list[UInt8Array] = []
        for chunk in reader.read_chunks(16):
            frames += list(chunk.rgb)
            if len(frames) >= limit:
                break
    return Clip(tuple(frames[:limit]), rate)


def write_clip(clip: Clip, path: Path, codec: str, crf: int, options: dict[str, str]) -> None:
    """Compress a clip, in a file whose suffix names the container."""
    height, width = (side - side % 2 for side in clip.frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=clip.rate)
        stream.options = {"crf": str(crf), **options}
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.thread_count = 1
        for number, frame in enumerate(clip.frames):
            picture = np.ascontiguousarray(frame[:height, :width])
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shown.pts, shown.time_base = number, 1 / clip.rate
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))


def _scaled(factor: float) -> Change:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda frame: cv2.resize(frame, None, fx=factor, fy=factor, interpolation=way).astype(
        np.uint8
    )


def _cropped(frame: UInt8Array) -> UInt8Array:
    """A tenth of each side goes."""
    height, width = frame.shape[:2]
    top, left = height // 20, width // 10
    return np.ascontiguousarray(frame[top : height - top, left : width - left])


def _turned(frame: UInt8Array) -> UInt8Array:
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 3, 1)
    turned = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return turned.astype(np.uint8, copy=False)


def _toned(gain: float = 1.0, offset: float = 0.0, gamma: float = 1.0) -> Change:
    level = np.arange(256) / 255
    table = (255 * ((level - 0.5) * gain + 0.5 + offset).clip(0, 1) ** gamma).round()
    return lambda frame: table.astype(np.uint8)[frame]


def _noisy() -> Change:
    rng = np.random.default_rng(0)
    return lambda frame: (frame + rng.normal(0, 5, frame.shape)).clip(0, 255).astype(np.uint8)


def _blurred(frame: UInt8Array) -> UInt8Array:
    return cv2.GaussianBlur(frame, (0, 0), 1.0).astype(np.uint8, copy=False)


def _mirrored(frame: UInt8Array) -> UInt8Array:
    return np.ascontiguousarray(frame[:, ::-1])


_FAST = {"preset": "veryfast"}
_H265 = {"preset": "veryfast", "x265-params": "log-level=error:pools=1:frame-threads=1"}
_VP9 = {"b": "0", "deadline": "realtime", "cpu-used": "7"}


def _usual(change: Change | None = None, **values: object) -> PictureAttack:
    return PictureAttack(change, options=_FAST, **values)  # type: ignore[arg-type]


PICTURE_ATTACKS: dict[str, PictureAttack] = {
    **{f"H.264 crf {crf}": _usual(crf=crf) for crf in (18, 23, 28, 35)},
    "H.265 crf 28": PictureAttack(codec="libx265", crf=28, options=_H265),
    "VP9 crf 33": PictureAttack(codec="libvpx-vp9", crf=33, options=_VP9),
    "scaled to 50 %": _usual(_scaled(0.5)),
    "scaled to 200 %": _usual(_scaled(2.0)),
    "cropped by 20 %": _usual(_cropped),
    **{f"{rate} frames/s": _usual(rate=rate) for rate in (15, 30, 50)},
    "turned by 3 degrees": _usual(_turned),
    "mirrored": _usual(_mirrored),
    "brighter by 8 %": _usual(_toned(offset=0.08)),
    "contrast 80 %": _usual(_toned(gain=0.8)),
    "contrast 125 %": _usual(_toned(gain=1.25)),
    "gamma 1.4": _usual(_toned(gamma=1.4)),
    "noise of 5 levels": _usual(_noisy()),
    "blur of 1 px": _usual(_blurred),
    "two generations": _usual(times=2),
    "the last 70 %": _usual(keep=0.7),
}


def names_of(chosen: Sequence[str] | None) -> list[str]:
    """Names of the attacks that hold one of some words; all without a choice."""
    return [name for name in PICTURE_ATTACKS if not chosen or any(w in name for w in chosen)]
