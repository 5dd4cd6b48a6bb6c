"""Read which talking heads the outside judge may choose from."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from datasets.prepare.manifest import read_manifest
from retalking.errors import ConfigError
from retalking.evaluation.judge.cast import Speaker
from retalking.media.video import VideoReader

FRAME_S = 0.04
"""The unit of the column ``lag``."""
_LEAST_FIT = 0.6
"""``sync_r`` of clips whose speech belongs to the lips that are seen."""


def read_speakers(path: Path, seconds: float, split: str = "val") -> list[Speaker]:
    """List the clips that are long enough and whose speech is in step, or can be brought in step.

    Args:
        path: a manifest of this project (``audio_offset_s``), or the list of the research clips
            (``lag``, in frames of 1/25 s by which the sound is later than the lips, and
            ``sync_r``), whose files lie in the folder above.
        seconds: that a clip must last.
        split: of the clips.

    Raises:
        ConfigError: no such list, or no clip in it will do.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such list of clips")
    found = [s for s in _list_speakers(path, split) if _duration_s(s.video) >= seconds]
    if not found:
        raise ConfigError(
            f"{path}: no clip of split {split!r} lasts {seconds:g} s with its speech in step"
        )
    return found


def _list_speakers(path: Path, split: str) -> Iterator[Speaker]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if "lag" in (rows.fieldnames or ()):
            yield from _list_research_speakers(path, split, rows)
            return
    for row in read_manifest(path):
        if row.split == split and row.has_audio and row.audio is None:
            name = row.clip.replace("/", "_")
            yield Speaker(name, row.media, row.identity, row.audio_offset_s)


def _list_research_speakers(path: Path, split: str, rows: csv.DictReader[str]) -> Iterator[Speaker]:
    for row in rows:
        try:
            fits = row["lag"] != "" and float(row["sync_r"] or 0) >= _LEAST_FIT
            if row["split"] == split and fits:
                video = path.absolute().parent.parent / row["file"]
                yield Speaker(video.stem, video, row["identity"], -float(row["lag"]) * FRAME_S)
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"{path}: line {rows.line_num}: {error}; expected columns file, split, identity, "
                "lag and sync_r"
            ) from None


def _duration_s(video: Path) -> float:
    with VideoReader(video) as reader:
        return (reader.info.num_frames or 0) / float(reader.info.frame_rate)
