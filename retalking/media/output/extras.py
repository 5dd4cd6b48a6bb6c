"""What a video file holds beside picture and sound, and what of that has no place in the output.

Times count from the first picture, as those of the output do.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.subtitles.stream import SubtitleStream

from retalking.media.container import open_input
from retalking.media.tracks import first_picture_s, video_stream

_KEPT_TAGS = ("title", "artist", "comment", "description", "copyright", "date")
_LOST_TAGS = {
    "location": "the place (GPS)",
    "com.apple.quicktime.location.iso6709": "the place (GPS)",
    "creation_time": "the time of recording",
    "timecode": "the timecode",
}
_TEXTS = ("subrip", "srt", "text", "webvtt", "mov_text", "ass", "ssa")
_ALPHA = re.compile(r"^(yuva|rgba|bgra|argb|abgr|gbrap|ya\d)")


@dataclass(frozen=True)
class Passage:
    """A chapter with its title, or a subtitle with its text."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Subtitles:
    """A track of subtitles as plain text."""

    language: str | None
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Extras:
    """What goes over into the output, and what does not.

    Attributes:
        tags: title, artist and so on.
        chapters: in order.
        subtitles: tracks of text.
        language: of the picture's track.
        lost: what there is no place for, in words.
    """

    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    chapters: tuple[Passage, ...] = ()
    subtitles: tuple[Subtitles, ...] = ()
    language: str | None = None
    lost: tuple[str, ...] = ()

    def until(self, end_s: float) -> Extras:
        """What lies before a time."""
        return dataclasses.replace(
            self,
            chapters=_until(self.chapters, end_s),
            subtitles=tuple(
                Subtitles(track.language, _until(track.passages, end_s)) for track in self.subtitles
            ),
        )


def read_extras(path: Path) -> Extras:
    """Read everything of a video but its picture and sound.

    Raises:
        MediaError: the file cannot be read.
    """
    with open_input(path) as container:
        zero_s = first_picture_s(container, path) or 0.0
        picture = video_stream(container, path)
        tags = {name.lower(): value for name, value in container.metadata.items()}
        stream_tags = {name.lower() for stream in container.streams for name in stream.metadata}
        lost = [words for name, words in _LOST_TAGS.items() if name in {*tags, *stream_tags}]
        if len(container.streams.audio) > 1:
            lost.append("further audio tracks")
        if [s for s in container.streams.video if s.index != picture.index]:
            lost.append("further pictures")
        if _ALPHA.match(picture.codec_context.pix_fmt or ""):
            lost.append("transparency")
        texts = [s for s in container.streams.subtitles if s.codec_context.name in _TEXTS]
        if len(texts) < len(container.streams.subtitles):
            lost.append("subtitles that are pictures")
        if container.streams.attachments:
            lost.append("attachments")
        chapters = tuple(
            Passage(
                float(chapter["start"] * (chapter["time_base"] or 0)) - zero_s,
                float(chapter["end"] * (chapter["time_base"] or 0)) - zero_s,
                chapter["metadata"].get("title", ""),
            )
            for chapter in container.chapters()
        )
        return Extras(
            tags={name: tags[name] for name in _KEPT_TAGS if name in tags},
            chapters=chapters,
            subtitles=tuple(_read_subtitles(container, texts, zero_s)) if texts else (),
            language=picture.language,
            lost=tuple(dict.fromkeys(lost)),
        )


def _read_subtitles(
    container: av.container.InputContainer, streams: list[SubtitleStream], zero_s: float
) -> Iterator[Subtitles]:
    passages: dict[int, list[Passage]] = {stream.index: [] for stream in streams}
    try:
        for packet in container.demux(streams):
            if packet.pts is None or not packet.duration or packet.time_base is None:
                continue
            text = plain_text(packet.stream.codec_context.name, bytes(packet))
            if text:
                start_s = float(packet.pts * packet.time_base) - zero_s
                end_s = float((packet.pts + packet.duration) * packet.time_base) - zero_s
                passages[packet.stream.index].append(Passage(start_s, end_s, text))
    except av.error.FFmpegError:
        pass  # of a file that is cut off, what comes before the cut
    for stream in streams:
        yield Subtitles(stream.language, tuple(passages[stream.index]))


def plain_text(codec: str, data: bytes) -> str:
    """Text of a packet, without the styles of its format."""
    if codec == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    text = data.decode("utf-8", "replace")
    if codec in ("ass", "ssa"):
        text = text.split(",", 8)[-1]
        text = re.sub(r"\{[^}]*\}", "", text).replace("\\N", "\n").replace("\\n", "\n")
    return text.strip()


def _until(passages: tuple[Passage, ...], end_s: float) -> tuple[Passage, ...]:
    return tuple(
        Passage(max(0.0, passage.start_s), min(passage.end_s, end_s), passage.text)
        for passage in passages
        if passage.start_s < end_s and passage.end_s > 0
    )
