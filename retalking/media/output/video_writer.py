"""Encoding frames and sound into a file that appears only when it is complete."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from retalking.errors import ConfigError, MediaError
from retalking.files import commit, partial_file
from retalking.media.output.encoding import FILE_TYPES, EncoderOptions, check_output
from retalking.media.output.extras import Extras
from retalking.media.output.extras_muxer import ExtrasMuxer
from retalking.media.output.matroska import ROOM, set_pixel_shape
from retalking.media.sound.audio_track import AudioMuxer, AudioTrack
from retalking.types import ColorTags, IntArray, UInt8Array, VideoInfo

_log = logging.getLogger(__name__)

_UNTAGGED_SPACE, _BT709 = 2, 1
_KNOWN_SPACES = (1, 4, 5, 6, 7, 9)
"""YUV matrices swscale converts to; FFmpeg's two BT.601 codes, 5 and 6, are one matrix."""


class VideoWriter:
    """Writes RGB frames with their timestamps, and sound, as a context manager.

    The file takes its name only when the block ends without an exception; otherwise nothing is
    left. Timestamps keep the source's ticks where the container can (Matroska and WebM round to
    milliseconds; AVI holds only constant frame rates). Colours keep the source's tags.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        options: EncoderOptions | None = None,
        audio: AudioTrack | None = None,
        end_pts: int | None = None,
        extras: Extras | None = None,
        seal: Callable[[Path, Path], None] | None = None,
    ) -> None:
        """Check everything that can be checked before work is done; nothing is written yet.

        Args:
            path: output file; the suffix chooses the container.
            info: size, frame rate, time base, colours and pixel shape of the output.
            options: how to compress.
            audio: what is heard.
            end_pts: tick at which the last frame ends; else it lasts as long as the one before.
            extras: title, chapters and subtitles.
            seal: done to the complete file, its first argument, before it gets its name, the other.

        Raises:
            ConfigError: unknown suffix, codec that does not fit it, or output equal to an input.
            MediaError: the directory is missing or not writable.
        """
        self.path = path
        self._info = info
        self._options = options or EncoderOptions()
        self._track = audio
        self._end_pts = end_pts
        self._extras = extras
        self._seal = seal
        inputs = (info.path,) if audio is None else (info.path, audio.path)
        check_output(path, self._options, inputs)
        self._kind = FILE_TYPES[path.suffix.lower()]
        self._waiting: tuple[av.VideoFrame, int] | None = None
        self._convert = VideoReformatter()  # keeps what swscale prepares, which takes long
        self._last_duration = max(1, round(1 / (info.frame_rate * info.time_base)))
        self._durations: dict[int, int] = {}
        self._first_dts: int | None = None
        self._end_tick = 0

    def __enter__(self) -> VideoWriter:
        self._resources = ExitStack()
        try:
            self._partial = self._resources.enter_context(partial_file(self.path))
            self._container = self._resources.enter_context(
                av.open(
                    f"file:{self._partial}",
                    "w",
                    format=self._kind.format,
                    options=self._kind.options,
                )
            )
            self._add_video()
            self._audio = self._track and AudioMuxer(
                self._track,
                self._container,
                self._kind.copied,
                self._kind.audio_encoder,
                self._resources,
            )
            self._more = self._extras and ExtrasMuxer(
                self._extras, self._container, self._info.path
            )
        except BaseException as error:
            self._abandon()
            if isinstance(error, (av.error.FFmpegError, OSError)):
                raise self._failure(error) from error
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._finish()
        except (av.error.FFmpegError, OSError) as failure:
            raise self._failure(failure) from failure
        finally:
            self._abandon()

    def write(self, rgb: UInt8Array, pts: IntArray) -> None:
        """Append frames.

        Args:
            rgb: uint8 ``[T, H, W, 3]`` of the size of ``info``.
            pts: int64 ``[T]`` in ticks of ``info.time_base``, increasing from call to call.

        Raises:
            MediaError: the file cannot be written, for instance because the disk is full.
        """
        size = (self._info.height_px, self._info.width_px, 3)
        if rgb.dtype != np.uint8 or rgb.shape[1:] != size or len(rgb) != len(pts):
            raise ValueError(f"frames: got {rgb.dtype}{list(rgb.shape)} for {len(pts)} timestamps")
        try:
            for picture, stamp in zip(rgb, pts.tolist(), strict=True):
                # A frame's duration is known when the next one comes.
                if self._waiting is not None:
                    self._encode(*self._waiting, until=stamp)
                self._waiting = (self._to_frame(picture), stamp)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _add_video(self) -> None:
        info, codec = self._info, self._options.codec
        self._pixel_format = self._options.choose_pixel_format(info.width_px, info.height_px)
        rgb = av.VideoFormat(self._pixel_format).is_rgb
        self._tags = _output_tags(info.color, rgb)

        stream = self._container.add_stream(codec, rate=info.frame_rate)
        stream.options = self._options.for_encoder(
            self._kind.format, info.width_px, info.height_px, info.color.hdr
        )
        # A frame of AVI is a count, so its tick must be one frame long.
        self._tick = 1 / info.frame_rate if self._kind.format == "avi" else info.time_base
        stream.time_base = stream.codec_context.time_base = self._tick
        context = stream.codec_context
        context.width, context.height = info.width_px, info.height_px
        context.pix_fmt = self._pixel_format
        context.thread_type = "AUTO"
        context.sample_aspect_ratio = info.sample_aspect_ratio
        context.color_range, context.colorspace = self._tags.range, self._tags.space
        context.color_primaries, context.color_trc = self._tags.primaries, self._tags.transfer
        if codec == "libx265" and self._kind.format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the only HEVC tag QuickTime plays
        self._shapes_afterwards = (
            self._kind.format in ("matroska", "webm") and info.sample_aspect_ratio != 1
        )
        if self._shapes_afterwards:
            stream.metadata["title"] = ROOM
        self._stream = stream

    def _to_frame(self, picture: UInt8Array) -> av.VideoFrame:
        """Convert a picture ``[H, W, 3]`` to the stored format."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        if not self._tags.space:
            return self._convert.reformat(rgb, format=self._pixel_format)
        known = self._tags.space if self._tags.space != _UNTAGGED_SPACE else Colorspace.DEFAULT
        return self._convert.reformat(
            rgb,
            format=self._pixel_format,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU601 if known == 6 else known,
            dst_color_range=self._tags.range or ColorRange.MPEG,
            # Averages 2x2 pixels, which undoes exactly the repetition of chroma in decoding.
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND,
        )

    def _encode(self, frame: av.VideoFrame, stamp: int, until: int) -> None:
        if until <= stamp:
            raise ValueError(f"timestamps: {until} follows {stamp}, expected them to increase")
        ticks, end = (round(t * self._info.time_base / self._tick) for t in (stamp, until))
        if end <= ticks:
            raise ConfigError(
                f"{self.path}: {self.path.suffix} cannot hold this variable frame rate; use .mkv"
            )
        frame.pts, frame.time_base, frame.duration = ticks, self._tick, end - ticks
        self._durations[ticks] = self._last_duration = end - ticks
        self._end_tick = end
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            if self._first_dts is None:
                self._first_dts = packet.dts
            if packet.pts in self._durations:
                packet.duration = self._durations.pop(packet.pts)
            if packet.dts is not None:
                self._write_beside(float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _write_beside(self, time_s: float) -> None:
        """Sound and subtitles that begin before a frame is decoded go before it."""
        if self._audio:
            self._audio.write_until(time_s)
        if self._more:
            self._more.write_until(time_s)

    def _finish(self) -> None:
        if self._waiting is None:
            raise MediaError(f"{self.path}: no frame was given to write")
        frame, stamp = self._waiting
        lasting = max(1, round(self._last_duration * self._tick / self._info.time_base))
        self._encode(frame, stamp, until=max(self._end_pts or stamp + lasting, stamp + 1))
        packets = self._stream.encode(None)
        if self._first_dts is None and len(packets) <= 2:
            for packet in packets:  # of so few frames libx265 leaves the decoding time to chance
                packet.dts = packet.pts
        if packets:  # MP4 adds up the steps of decoding time, so the last one must reach the end
            first_dts = packets[0].dts if self._first_dts is None else self._first_dts
            last = packets[-1]
            self._durations[last.pts] = max(1, self._end_tick + first_dts - last.dts)
        self._mux(packets)
        self._write_beside(float("inf"))
        self._container.close()
        if self._shapes_afterwards and not set_pixel_shape(
            self._partial, self._info.sample_aspect_ratio
        ):
            _log.warning("%s: the shape of its pixels is not kept", self.path)
        if self._seal is not None:
            self._seal(self._partial, self.path)
        commit(self._partial, self.path)

    def _abandon(self) -> None:
        """Close what is open and remove the partial file; after `_finish` there is none."""
        try:
            self._resources.close()
        except (av.error.FFmpegError, OSError) as error:
            _log.debug("%s: while closing: %s", self.path, error)

    def _failure(self, error: av.error.FFmpegError | OSError) -> MediaError:
        return MediaError(f"{self.path}: cannot be written: {error.strerror or error}")


def _output_tags(source: ColorTags, rgb: bool) -> ColorTags:
    """The source's tags, made to fit the stored format."""
    if rgb:
        return ColorTags(
            range=int(ColorRange.JPEG),
            primaries=source.primaries,
            transfer=source.transfer,
            space=0,
        )
    if source.space in (*_KNOWN_SPACES, _UNTAGGED_SPACE):
        return source
    # RGB sources and rare matrices: the matrix every player knows.
    known = (source.primaries, source.transfer)
    primaries, transfer = (_BT709 if code == 2 else code for code in known)
    return ColorTags(int(ColorRange.MPEG), primaries, transfer, _BT709)
