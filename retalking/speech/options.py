"""Options of what is heard of the speech."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from retalking.config import Section, option
from retalking.speech.voice_activity import LOOK_AHEAD_S


class SpeechSection(Section):
    """What is heard of the speech."""

    TITLE: ClassVar[str] = "speech"

    audio_track: Annotated[int, Field(ge=0)] | None = option(
        "n-th audio track of the speech file, from 0"
    )
    silence_gate: bool = option("close the mouth in pauses, with networks; warp always does")
    look_ahead_s: Annotated[float, Field(ge=LOOK_AHEAD_S)] | None = option(
        "seconds of the future that lips may depend on, with warp; auto: any"
    )
