"""Options of marks and provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from retalking.config import Section, option

_WORDS = {True: "on", False: "off"}


def _as_word(value: object) -> object:
    """YAML reads ``on`` and ``off`` as truth values."""
    return _WORDS[value] if isinstance(value, bool) else value


class TrustSection(Section):
    """How the result says what it is."""

    TITLE: ClassVar[str] = "trust"

    watermark: Annotated[Literal["on", "off"], BeforeValidator(_as_word)] = option(
        "invisible mark in the new face and in the sound"
    )
    watermark_payload: Annotated[int, Field(ge=0, le=65535)] = option("16 bits of your choice in it")
    watermark_key: Path | None = option("file whose bytes are its key, else everybody's")
    sound: Literal["mark", "copy"] = option("copy: bit by bit where the file allows, without mark")

    def key(self) -> bytes:
        """Return the key of the marks.

        Raises:
            ConfigError: its file cannot be read.
        """
        return read_key(self.watermark_key)
