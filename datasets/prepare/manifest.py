"""The list of clips to prepare: one row per clip, as a TSV or CSV file with a header.

Columns: ``clip`` (unique name), ``media``, ``identity``, ``split``, ``licence``; optional ``audio``
(another file with the speech, or ``none`` for a clip without speech), ``frame_rate`` (blank: what
the file says), ``audio_offset_s`` (added to the time of the audio to bring it in step with the
lips), ``val_share`` (last share of the video that is for validation) and ``notes``. Relative paths
start at the manifest's folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from retalking.errors import ConfigError
from retalking.files import replacing

REQUIRED = ("clip", "media", "identity", "split", "licence")
OPTIONAL = ("audio", "frame_rate", "audio_offset_s", "val_share", "notes")
NO_AUDIO = "none"
MEDIA_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True)
class ClipRow:
    """One clip of a corpus.

    Attributes:
        clip: unique name; may contain ``/``.
        media: the video.
        identity: who is seen; clips of one person share it.
        split: ``train``, ``val`` or any other name.
        licence: under which the clip may be used.
        audio: file with the speech, ``None`` for the video's own track.
        has_audio: false for a clip without speech.
        frame_rate: frames per second, ``None`` for what the file says.
        audio_offset_s: added to the time of the audio; positive delays it.
        val_share: last share of the video whose frames are of the split ``val``, below 1.
        notes: anything.
    """

    clip: str
    media: Path
    identity: str
    split: str
    licence: str
    audio: Path | None = None
    has_audio: bool = True
    frame_rate: float | None = None
    audio_offset_s: float = 0.0
    val_share: float = 0.0
    notes: str = ""


def read_manifest(path: Path) -> list[ClipRow]:
    """Read and check a manifest.

    Raises:
        ConfigError: missing, empty, without a needed column, with a clip named twice or a value
            that cannot be read; the message names the line.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such manifest")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8: {error}") from error
    reader = csv.DictReader(
        io.StringIO(text), delimiter=_delimiter(path), restkey="surplus", strict=True
    )
    columns = reader.fieldnames or []
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    if text.strip() and (missing or unknown):
        fault = f"lacks column {missing[0]!r}" if missing else f"has unknown column {unknown[0]!r}"
        raise ConfigError(
            f"{path}: {fault}, got {', '.join(columns)}; expected {', '.join(REQUIRED)} and "
            f"optionally {', '.join(OPTIONAL)}"
        )
    rows: list[ClipRow] = []
    lines: dict[str, int] = {}
    try:
        for values in reader:
            line = reader.line_num
            row = _parse(values, path, line)
            if row.clip in lines:
                raise ConfigError(
                    f"{path}: line {line}: clip {row.clip!r} is already on line {lines[row.clip]}"
                )
            lines[row.clip] = line
            rows.append(row)
    except csv.Error as error:
        raise ConfigError(f"{path}: line {reader.line_num}: {error}") from error
    if not rows:
        raise ConfigError(f"{path}: the manifest is empty; expected one row per clip")
    return rows


def write_manifest(path: Path, rows: Iterable[ClipRow]) -> None:
    """Write a manifest that ``read_manifest`` reads; paths are written absolute.

    Raises:
        MediaError: the file cannot be written.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        columns = (*REQUIRED, *OPTIONAL)
        writer = csv.writer(file, delimiter=_delimiter(path), lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = {
                **vars(row),
                "media": row.media.absolute(),
                "audio": (row.audio.absolute() if row.audio else "") if row.has_audio else NO_AUDIO,
                "frame_rate": row.frame_rate or "",
            }
            writer.writerow([values[column] for column in columns])


def list_media(folder: Path, pattern: str = "**/*") -> Iterator[Path]:
    """Yield the video files of a folder in a fixed order.

    Raises:
        ConfigError: no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    yield from (
        path
        for path in sorted(folder.glob(pattern))
        if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()
    )


def _delimiter(path: Path) -> str:
    return "," if path.suffix.lower() == ".csv" else "\t"


def _parse(values: dict[str, str | None], path: Path, line: int) -> ClipRow:
    place = f"{path}: line {line}"
    if "surplus" in values or None in values.values():
        raise ConfigError(f"{place}: has another number of fields than the header")
    fields = {name: (value or "").strip() for name, value in values.items()}
    for name in REQUIRED:
        if not fields[name]:
            raise ConfigError(f"{place}: {name} is empty")
    audio = fields.get("audio", "")
    rate = _number(fields.get("frame_rate", ""), "frame_rate", place)
    if rate is not None and rate <= 0:
        raise ConfigError(f"{place}: frame_rate: got {rate:g}, expected more than 0")
    val_share = _number(fields.get("val_share", ""), "val_share", place) or 0.0
    if not 0 <= val_share < 1:
        raise ConfigError(f"{place}: val_share: got {val_share:g}, expected 0 to below 1")
    return ClipRow(
        clip=fields["clip"],
        media=path.parent / fields["media"],
        identity=fields["identity"],
        split=fields["split"],
        licence=fields["licence"],
        audio=path.parent / audio if audio not in ("", NO_AUDIO) else None,
        has_audio=audio != NO_AUDIO,
        frame_rate=rate,
        audio_offset_s=_number(fields.get("audio_offset_s", ""), "audio_offset_s", place) or 0.0,
        val_share=val_share,
        notes=fields.get("notes", ""),
    )


def _number(text: str, name: str, place: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ConfigError(f"{place}: {name}: got {text!r}, expected a number")
    return value
