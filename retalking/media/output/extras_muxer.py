"""Title, chapters and subtitles of the source in the output file, as far as its kind has them."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from retalking.media.output.extras import Extras, Passage

_log = logging.getLogger(__name__)

_MS = Fraction(1, 1000)
_SUBTITLE_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}


class ExtrasMuxer:
    """Adds the extras to an output container, and subtitles in step with the video."""

    def __init__(
        self, extras: Extras, container: av.container.OutputContainer, source: Path
    ) -> None:
        """Write tags and chapters, and add the streams.

        Args:
            extras: of the source, cut to what the output shows.
            container: output that has not been written to.
            source: the file they come from, for the line that says what is lost.
        """
        lost = list(extras.lost)
        container.metadata.update(extras.tags)
        kind = container.format.name
        if extras.chapters:
            if kind == "avi":
                lost.append("chapters")
            else:
                container.set_chapters(
                    [_chapter(number, chapter) for number, chapter in enumerate(extras.chapters)]
                )
        self._container = container
        self._waiting: list[tuple[Passage, av.stream.Stream]] = []
        codec = _SUBTITLE_CODECS.get(kind)
        if extras.subtitles and codec is None:
            lost.append("subtitles")
        for track in extras.subtitles if codec is not None else ():
            stream = container.add_mux_stream(codec or "")
            stream.time_base = _MS
            if track.language:
                stream.metadata["language"] = track.language
            self._waiting += [(passage, stream) for passage in track.passages]
        self._waiting.sort(key=lambda item: item[0].start_s)
        self._is_boxed = codec == "mov_text"
        if lost:
            _log.warning("%s: not carried over: %s", source, ", ".join(lost))

    def write_until(self, time_s: float) -> None:
        """Write the subtitles that begin before ``time_s`` and have not been written."""
        while self._waiting and self._waiting[0][0].start_s < time_s:
            passage, stream = self._waiting.pop(0)
            data = passage.text.encode()
            if self._is_boxed:
                data = data[: 2**16 - 1]
                data = len(data).to_bytes(2, "big") + data
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, _MS
            packet.pts = packet.dts = round(passage.start_s * 1000)
            packet.duration = max(1, round((passage.end_s - passage.start_s) * 1000))
            self._container.mux(packet)


def _chapter(number: int, chapter: Passage) -> Any:
    return {
        "id": number + 1,
        "start": round(chapter.start_s * 1000),
        "end": round(chapter.end_s * 1000),
        "time_base": _MS,
        "metadata": {"title": chapter.text} if chapter.text else {},
    }
