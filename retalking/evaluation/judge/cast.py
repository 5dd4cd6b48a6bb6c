"""Who speaks whose words before the outside judge."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from datasets.prepare.manifest import read_manifest
from retalking.errors import ConfigError
from retalking.media.video import VideoReader

Kind = Literal["cross", "silence", "self", "still"]
KINDS: tuple[Kind, ...] = ("cross", "silence", "self", "still")
COUNTS: dict[Kind, int] = {"cross": 12, "silence": 4, "self": 6, "still": 4}
FRAME_S = 0.04
"""The unit of the column ``lag``."""
_LEAST_FIT = 0.6
"""``sync_r`` of clips whose speech belongs to the lips that are seen."""


@dataclass(frozen=True)
class Speaker:
    """A talking head.

    Attributes:
        name: shown in tables.
        video: file with picture and speech.
        identity: who is seen.
        audio_offset_s: added to the time of the speech to bring it in step with the lips.
    """

    name: str
    video: Path
    identity: str
    audio_offset_s: float = 0.0


@dataclass(frozen=True)
class Trial:
    """A dub to be judged.

    Attributes:
        kind: ``cross``: the words of another; ``silence``: none; ``self``: its own; ``still``: a
            photograph speaks.
        face: video or photograph that is dubbed.
        speaker: whose words; with silence, who is silent.
    """

    kind: Kind
    face: Path
    speaker: Speaker

    @property
    def name(self) -> str:
        """Face and speaker, for tables and files."""
        face = self.face.stem
        return face if self.kind in ("silence", "self") else f"{face}+{self.speaker.name}"


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


def choose_trials(
    speakers: Sequence[Speaker],
    stills: Sequence[Path] = (),
    limit: int | None = None,
    seed: int = 0,
) -> list[Trial]:
    """Choose trials; the same speakers give the same ones.

    One clip of every person takes part, in an order that the seed and the clips' names decide: each
    speaks the words of the next, then of the one after that, and so on.

    Args:
        speakers: candidates.
        stills: photographs.
        limit: at most so many of each kind.
        seed: for another choice.

    Raises:
        ConfigError: fewer than two persons.
    """
    order = sorted(speakers, key=lambda speaker: _rank(speaker.name, seed))
    people = list({speaker.identity: speaker for speaker in reversed(order)}.values())[::-1]
    if len(people) < 2:
        raise ConfigError(f"outside judge: got {len(people)} person to judge, expected 2 or more")
    faces = sorted(stills, key=lambda still: _rank(still.stem, seed))
    trials: dict[Kind, Iterator[Trial]] = {
        "cross": (Trial("cross", a.video, b) for a, b in _pair(people)),
        "silence": (Trial("silence", a.video, a) for a in people),
        "self": (Trial("self", a.video, a) for a in people),
        "still": (Trial("still", face, people[k % len(people)]) for k, face in enumerate(faces)),
    }
    return [
        trial
        for kind in KINDS
        for trial in islice(trials[kind], min(COUNTS[kind], limit or COUNTS[kind]))
    ]


def _pair(people: Sequence[Speaker]) -> Iterator[tuple[Speaker, Speaker]]:
    for step in range(1, len(people)):
        for place, speaker in enumerate(people):
            yield speaker, people[(place + step) % len(people)]


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


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
