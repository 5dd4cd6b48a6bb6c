"""Which codecs go into which files, and how a video is compressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from retalking.errors import ConfigError
from retalking.files import check_writable
from retalking.media.hdr import encoder_parameters
from retalking.media.memory import ENCODER_BYTES, pictures_within
from retalking.types import HdrMetadata


@dataclass(frozen=True)
class FileType:
    """A kind of output file.

    Attributes:
        format: FFmpeg's name of the muxer.
        codecs: video codecs that belong in it.
        copied: audio codecs whose packets keep their time exactly when copied into it.
        audio_encoder: the codec of all other audio.
        options: of the muxer.
    """

    format: str
    codecs: tuple[str, ...]
    copied: frozenset[str]
    audio_encoder: str
    options: dict[str, str]


_FASTSTART = {"movflags": "+faststart"}
"""Puts the index first, so that a browser plays before it has everything."""
_MP4 = FileType(
    "mp4",
    ("libx264", "libx264rgb", "libx265", "libvpx-vp9"),
    frozenset({"aac"}),
    "aac",
    _FASTSTART,
)
_MOV = FileType(
    "mov",
    ("libx264", "libx264rgb", "libx265"),
    frozenset({"aac", "pcm_s16le", "pcm_s24le"}),
    "aac",
    _FASTSTART,
)
# Matroska has no edit list to hide the padding before AAC that MP4 hides: it is decoded instead.
_MKV = FileType(
    "matroska",
    ("libx264", "libx264rgb", "libx265", "libvpx-vp9", "ffv1"),
    frozenset({"flac", "opus", "pcm_s16le", "pcm_s24le", "pcm_f32le"}),
    "flac",
    {},
)
_WEBM = FileType("webm", ("libvpx-vp9",), frozenset({"opus"}), "libopus", {})
_AVI = FileType("avi", ("libx264", "ffv1"), frozenset({"pcm_s16le"}), "pcm_s16le", {})
FILE_TYPES = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".mkv": _MKV,
    ".webm": _WEBM,
    ".avi": _AVI,
}

_LARGEST_CRF = {"libx264": 51, "libx264rgb": 51, "libx265": 51, "libvpx-vp9": 63, "ffv1": 63}
_USUAL_LOOKAHEAD = {
    "ultrafast": 0,
    "superfast": 0,
    "veryfast": 10,
    "faster": 20,
    "fast": 30,
    "medium": 40,
    "slow": 50,
    "slower": 60,
}
"""Frames that libx264 looks ahead; libx265 fewer."""
_USUAL_LAG = 25
_X265_FRAMES = 5
"""libx265 wants to look further than its B frames reach."""
_BYTES_PER_PIXEL, _OTHER_FRAMES = 6, 6
"""What a frame takes in libx264, and how many it holds besides those that it looks ahead to."""
_USUAL_B_FRAMES = 3


@dataclass(frozen=True)
class EncoderOptions:
    """How the video is compressed.

    Attributes:
        codec: libx264, libx264rgb (lossless RGB with ``crf`` 0), libx265, libvpx-vp9, or ffv1
            (always lossless RGB).
        crf: quality, 0 the best; 18 of libx264 is hard to tell from the source. Not used by ffv1.
        preset: speed against size, for libx264, libx264rgb and libx265.
        pixel_format: FFmpeg's name; by default 4:2:0, which every player shows, or 4:4:4 where
            4:2:0 cannot hold an odd width or height.

    Raises:
        ConfigError: a value that FFmpeg or the codec does not know.
    """

    codec: str = "libx264"
    crf: int = 18
    preset: str = "medium"
    pixel_format: str | None = None

    def __post_init__(self) -> None:
        if self.codec not in _LARGEST_CRF:
            raise ConfigError(f"codec: got {self.codec!r}, expected {', '.join(_LARGEST_CRF)}")
        if not 0 <= self.crf <= _LARGEST_CRF[self.codec]:
            raise ConfigError(
                f"crf: got {self.crf}, expected 0 to {_LARGEST_CRF[self.codec]} for {self.codec}"
            )
        if self.preset not in _USUAL_LOOKAHEAD:
            raise ConfigError(
                f"preset: got {self.preset!r}, expected {', '.join(_USUAL_LOOKAHEAD)}"
            )
        formats = [known.name for known in av.Codec(self.codec, "w").video_formats or ()]
        if self.pixel_format is not None and self.pixel_format not in formats:
            raise ConfigError(
                f"pixel format: got {self.pixel_format!r}, expected one of {', '.join(formats)} "
                f"for {self.codec}"
            )

    def choose_pixel_format(self, width_px: int, height_px: int) -> str:
        """FFmpeg's name of the stored format for pictures of this size."""
        if self.pixel_format is not None:
            return self.pixel_format
        if self.codec in ("ffv1", "libx264rgb"):
            return "bgr0"
        if self.codec == "libvpx-vp9" or (width_px % 2 == 0 and height_px % 2 == 0):
            return "yuv420p"
        return "yuv444p"

    def for_encoder(
        self, muxer: str, width_px: int, height_px: int, hdr: HdrMetadata | None = None
    ) -> dict[str, str]:
        """The encoder's options for pictures of this size in a file of FFmpeg's ``muxer``."""
        frames = pictures_within(ENCODER_BYTES, width_px, height_px, _BYTES_PER_PIXEL)
        ahead = max(frames - _OTHER_FRAMES, 2)
        if self.codec == "ffv1":
            return {"level": "3", "slices": "4", "slicecrc": "1"}
        options = {"crf": str(self.crf)}
        if self.codec == "libvpx-vp9":
            options |= {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
            return options | {"lag-in-frames": str(min(ahead, _USUAL_LAG))}
        options["preset"] = self.preset
        parameters = encoder_parameters(hdr, self.codec) if hdr is not None else []
        few = ahead < _USUAL_LOOKAHEAD[self.preset]
        if self.codec == "libx265":
            parameters += ["log-level=error", *(_bound_x265(ahead) if few else ())]
            options["x265-params"] = ":".join(parameters)
        else:
            options |= _bound_x264(ahead) if few else {}
            if parameters:
                options["x264-params"] = ":".join(parameters)
        if muxer == "avi":
            options["bf"] = "0"  # AVI cannot tell when a reordered frame is shown
        return options


def _bound_x264(ahead: int) -> dict[str, str]:
    """Options that hold few frames; threads that share a frame need none of their own."""
    if ahead < _USUAL_B_FRAMES:
        return {"rc-lookahead": "1", "bf": "1", "refs": "1", "thread_type": "slice"}
    return {"rc-lookahead": str(ahead), "thread_type": "slice"}


def _bound_x265(ahead: int) -> list[str]:
    if ahead < _USUAL_B_FRAMES:
        return ["rc-lookahead=2", "bframes=1", "ref=1", "frame-threads=1"]
    return [f"rc-lookahead={max(ahead, _X265_FRAMES)}", "frame-threads=1"]


def check_output(path: Path, options: EncoderOptions, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse, before any work is done, what cannot be written.

    Raises:
        ConfigError: unknown suffix, a codec that does not fit it, or ``path`` is one of ``inputs``.
        MediaError: the directory is missing or not writable.
    """
    kind = FILE_TYPES.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"{path}: unknown video suffix, expected one of {' '.join(FILE_TYPES)}")
    if options.codec not in kind.codecs:
        fitting = [suffix for suffix, other in FILE_TYPES.items() if options.codec in other.codecs]
        raise ConfigError(
            f"{path}: {options.codec} does not go into {path.suffix} files; use "
            f"{' or '.join(fitting)}, or one of {', '.join(kind.codecs)}"
        )
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise ConfigError(f"{path}: is also an input; choose another name for the output")
    check_writable(path)
