"""Options of time and place that every way of making a mouth shares."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from retalking.config import FourPixels, Section, option
from retalking.rendering.timeline import LengthPolicy


class RenderingSection(Section):
    """Length and timing of the output, and where the new face goes."""

    TITLE: ClassVar[str] = "time and place"

    min_fps: Annotated[float, Field(ge=0, le=25)] = option(
        "repeat the frames of slower videos; 0: never"
    )
    length_policy: LengthPolicy = option("what sets the length of the output")
    sync_offset_ms: Annotated[float, Field(ge=-10_000, le=10_000)] = option(
        "positive: lips earlier"
    )
    pads: FourPixels = option("room around the face, px of a face 200 px high", letters="TBLR")
    nosmooth: bool = option("no filter over time")
    chunk_size: Annotated[int, Field(ge=1, le=10_000)] = option("frames in flight")
