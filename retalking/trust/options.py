"""Options of marks and provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from retalking.config import Section, option
from retalking.errors import ConfigError
from retalking.trust.payload_code import PUBLIC_KEY

_WORDS = {True: "on", False: "off"}


def _as_word(value: object) -> object:
    """YAML reads ``on`` and ``off`` as truth values."""
    return _WORDS[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["on", "off"], BeforeValidator(_as_word)]


class WatermarkSection(Section):
    """What the marks in picture and sound say, and whether there are any."""

    TITLE: ClassVar[str] = "watermark"

    watermark: Switch = option("invisible mark in the new face, inaudible one in the sound")
    watermark_payload: Annotated[int, Field(ge=0, le=65535)] = option("16 bits of yours in it")
    watermark_key: Path | None = option("file whose bytes are its key; else anybody can read it")

    def read_watermark_key(self) -> bytes:
        """Return the key of the marks.

        Raises:
            ConfigError: its file cannot be read, or is too short to be a secret.
        """
        return read_key(self.watermark_key)


class ProvenanceSection(Section):
    """What the output file says about itself."""

    TITLE: ClassVar[str] = "provenance"

    sound: Literal["mark", "copy"] = option("copy: bit by bit where the file can, without a mark")
    provenance: Switch = option("signed C2PA manifest: what was made of what, and how")
    certificate: Path | None = option("chain of certificates (PEM) to sign with; else our own")
    certificate_key: Path | None = option("its private key (PEM)")


def read_key(path: Path | None) -> bytes:
    """Return the bytes of a key file, or everybody's key.

    Raises:
        ConfigError: it cannot be read, or is too short to be a secret.
    """
    if path is None:
        return PUBLIC_KEY
    try:
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the watermark's key cannot be read: {error.strerror}") from None
    if len(key) < 16:
        raise ConfigError(f"{path}: a watermark's key of {len(key)} bytes, expected at least 16")
    return key
