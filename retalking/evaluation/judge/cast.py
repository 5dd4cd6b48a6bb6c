"""Who speaks whose words before the outside judge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from retalking.errors import ConfigError

Kind = Literal["cross", "silence", "self", "still"]
KINDS: tuple[Kind, ...] = ("cross", "silence", "self", "still")
COUNTS: dict[Kind, int] = {"cross": 12, "silence": 4, "self": 6, "still": 4}


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
