"""Options of reading video and speech, and of writing the result."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from retalking.config import FourBorders, Section, option


class SourceSection(Section):
    """Which part of the video is used."""

    TITLE: ClassVar[str] = "video"

    crop: FourBorders = option("region of the video to use", letters="TBLR")
    static: bool = option("use the first frame only")
    fps: Annotated[float, Field(ge=0.1, le=1000)] = option("of a still image")
    max_seconds: Annotated[float, Field(gt=0, le=1e6)] | None = option(
        "stop after this much output"
    )


class SpeechSection(Section):
    """What is heard of the speech."""

    TITLE: ClassVar[str] = "speech"

    audio_track: Annotated[int, Field(ge=0, le=999)] | None = option(
        "n-th audio track of the speech file, from 0"
    )
    look_ahead_s: Annotated[float, Field(ge=0.17, le=60)] | None = option(
        "seconds of the future that lips may depend on, for live use; auto: any"
    )
    silence_gate: bool = option("close the mouth in pauses (networks; warp always does)")


class EncoderSection(Section):
    """How the result is compressed."""

    TITLE: ClassVar[str] = "output file"

    codec: str = option("libx264, libx264rgb, libx265, libvpx-vp9, ffv1")
    crf: Annotated[int, Field(ge=0, le=63)] = option("quality, 0 the best")
    preset: str = option("speed against size")
