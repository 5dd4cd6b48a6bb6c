"""Who is given whose speech: pair lists, and the paper's unpaired protocol (section 4.2)."""

from __future__ import annotations

import hashlib
import random
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retalking.errors import ConfigError
from retalking.files import replacing


@dataclass(frozen=True)
class Pair:
    """A video and the speech it is given.

    Attributes:
        number: place in the list, from 0; names the result (``00012.mp4``).
        video: with the face.
        audio: with the speech.
    """

    number: int
    video: Path
    audio: Path

    @property
    def name(self) -> str:
        """Name of the result without its suffix."""
        return f"{self.number:05d}"

    @property
    def is_own_speech(self) -> bool:
        """Whether the video is given its own speech, so that it shows the true mouth."""
        return self.video.resolve() == self.audio.resolve()


@dataclass(frozen=True)
class Talk:
    """A video with its own speech.

    Attributes:
        media: the file.
        identity: who speaks, or the programme it was cut from; speech is taken from another one.
    """

    media: Path
    identity: str


def read_pairs(path: Path) -> list[Pair]:
    """Read a list: ``VIDEO AUDIO`` per line, quoted as in a shell where a name has spaces.

    Names are relative to the list's folder. Empty lines and lines that begin with ``#`` do not
    count. The files need not be there yet.

    Raises:
        ConfigError: unreadable, empty, or a line that is not two names.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the list of pairs: {error}") from None
    pairs: list[Pair] = []
    for line_number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{path}: line {line_number}"
        try:
            names = shlex.split(line)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}; quote names as in a shell") from None
        if len(names) != 2:
            raise ConfigError(f"{place}: got {len(names)} names, expected VIDEO AUDIO")
        video, audio = (path.parent / name for name in names)
        pairs.append(Pair(len(pairs), video, audio))
    if not pairs:
        raise ConfigError(f"{path}: no pairs; expected a line VIDEO AUDIO for each")
    return pairs


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write a list that ``read_pairs`` reads; names are absolute.

    Raises:
        MediaError: the file cannot be written.
    """
    lines = [shlex.join([str(pair.video.absolute()), str(pair.audio.absolute())]) for pair in pairs]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_unpaired(talks: Sequence[Talk], num_pairs: int | None, seed: int = 0) -> list[Pair]:
    """Give videos the speech of others, as evenly as possible and no pair twice.

    The talks are shuffled once. In each round every video takes the speech of the talk so many
    places further on, another number in each round, so that within a round each video and each
    speech is used once. The list depends on the order of the talks and the seed alone.

    Args:
        talks: the corpus.
        num_pairs: length of the list; ``None`` for one round.
        seed: of the shuffling.

    Raises:
        ConfigError: there are not so many pairs of different identities.
    """
    draw = random.Random(seed)
    order = list(talks)
    draw.shuffle(order)
    shifts = list(range(1, len(order)))
    draw.shuffle(shifts)
    pairs: list[Pair] = []
    for shift in shifts:
        for video, speech in _shifted(order, shift):
            if len(pairs) == num_pairs:
                return pairs
            pairs.append(Pair(len(pairs), video.media, speech.media))
        if num_pairs is None and pairs:
            return pairs
    if len(pairs) != num_pairs:
        wanted = "at least one" if num_pairs is None else str(num_pairs)
        raise ConfigError(
            f"pairs: {len(talks)} videos of {len({talk.identity for talk in talks})} people make "
            f"{len(pairs)} pairs with someone else's speech, expected {wanted}; add videos or "
            "lower --limit"
        )
    return pairs


def _shifted(order: Sequence[Talk], shift: int) -> Iterator[tuple[Talk, Talk]]:
    for place, video in enumerate(order):
        speech = order[(place + shift) % len(order)]
        if speech.identity != video.identity:
            yield video, speech


def digest_of(pairs: Sequence[Pair]) -> str:
    """Return 16 hex digits that tell lists apart.

    Two parts of each path count, so that machines may keep a corpus in different places.
    """
    names = (f"{_ending(pair.video)}\t{_ending(pair.audio)}" for pair in pairs)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _ending(path: Path) -> str:
    return "/".join(path.parts[-2:])
