"""Options of reading the video and of writing the result."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from retalking.config import FourBorders, Section, option


class SourceSection(Section):
    """Which part of the video is used."""

    TITLE: ClassVar[str] = "video"

    rotate: Literal[0, 90, 180, 270] = option("turn the video clockwise by so many degrees first")
    crop: FourBorders = option("region of the video to use", letters="TBLR")
    static: bool = option("use the first frame only")
    fps: Annotated[float, Field(ge=0.1, le=1000)] = option("of a still image")
    max_seconds: Annotated[float, Field(gt=0, le=1e6)] | None = option(
        "stop after this much output"
    )


class EncoderSection(Section):
    """How the result is compressed."""

    TITLE: ClassVar[str] = "output file"

    codec: str = option("libx264, libx264rgb, libx265, libvpx-vp9, ffv1")
    crf: Annotated[int, Field(ge=0, le=63)] = option("quality, 0 the best")
    preset: str = option("speed against size")
