"""What can be told about a file: its manifest, and the marks in its picture and its sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retalking.errors import MediaError, RetalkingError
from retalking.media.container import open_input
from retalking.media.sound import audio
from retalking.media.tracks import first_picture_s
from retalking.trust.manifest.reading import Manifest, read_manifest
from retalking.trust.manifest.seal import SIDECAR
from retalking.trust.payload_code import payload_of
from retalking.trust.picture.evidence import Finding, weigh
from retalking.trust.picture.faces import SeenFace, see_faces
from retalking.trust.picture.pattern import picture_code
from retalking.trust.sound.evidence import SoundFinding, weigh_sound
from retalking.trust.sound.pattern import sound_code

FALSE_POSITIVES_LOG10 = -6.0
"""A mark is claimed where chance makes as much in at most one of a million unmarked files."""


@dataclass(frozen=True)
class FaceVerdict:
    """What is told of one face.

    Attributes:
        face: what was seen of it.
        finding: ``None`` where it is seen for too short a time.
        log10_p: its probability under chance, with all faces of the file counted.
    """

    face: SeenFace
    finding: Finding | None
    log10_p: float

    @property
    def is_marked(self) -> bool:
        """Whether the mark is claimed."""
        return self.log10_p <= FALSE_POSITIVES_LOG10


@dataclass(frozen=True)
class Verdict:
    """What is told of a file.

    Attributes:
        path: the file.
        manifest: its manifest.
        comment: its plain comment.
        faces: its faces, those seen longest first.
        sound: what was found in its sound; ``None`` where there is none to judge.
        picture_note: why there are none, if so.
        sound_note: likewise of the sound.
    """

    path: Path
    manifest: Manifest
    comment: str
    faces: tuple[FaceVerdict, ...]
    sound: SoundFinding | None = None
    picture_note: str = ""
    sound_note: str = ""

    @property
    def payloads(self) -> tuple[int, ...]:
        """User's bits of all marks that are claimed, each once."""
        users = [face.finding.user for face in self.faces if face.is_marked and face.finding]
        if self.sound is not None and self.sound_is_marked:
            users.append(self.sound.user)
        return tuple(dict.fromkeys(users))

    @property
    def sound_is_marked(self) -> bool:
        """Whether a mark in the sound is claimed."""
        return self.sound is not None and self.sound.log10_p <= FALSE_POSITIVES_LOG10

    @property
    def sentence(self) -> str:
        """The verdict, which never says that something is genuine."""
        marks = ["picture"] if any(face.is_marked for face in self.faces) else []
        marks += ["sound"] if self.sound_is_marked else []
        found = " and ".join(marks)
        shown = ", ".join(f"{payload_of(user):08X}" for user in self.payloads)
        if marks and self.manifest.state == "valid":
            return f"Edited by Retalking: mark in the {found} ({shown}), and a valid manifest."
        if marks and self.manifest.state == "broken":
            return (
                f"Edited by Retalking: mark in the {found} ({shown}); its manifest is broken, so "
                "the file was changed afterwards."
            )
        if marks:
            return f"Edited by Retalking: mark in the {found} ({shown}); it has no manifest."
        if self.manifest.state == "broken":
            return "Its manifest is broken, so the file was changed after signing. No mark found."
        if self.manifest.state == "valid":
            told = "says" if self.manifest.says_ai else "does not say"
            return f"No mark found; its manifest is valid and {told} that AI edited it."
        return "No mark of this program and no manifest found, which does not make it genuine."


def verify(path: Path, key: bytes, every: int = 1, max_seconds: float | None = None) -> Verdict:
    """Look at a file.

    Args:
        path: video, sound, or both.
        key: of the marks.
        every: look at every n-th frame.
        max_seconds: of the video to look at.

    Raises:
        MediaError: it cannot be read at all.
    """
    with open_input(path) as container:
        comment = str(container.metadata.get("comment", ""))
        has_picture = first_picture_s(container, path) is not None
    found: tuple[FaceVerdict, ...] = ()
    note = "it has no picture"
    if has_picture:
        found, note = judge_picture(path, key, every, max_seconds)
    sound, silence = _listen(path, key)
    return Verdict(path, read_manifest(path), comment, found, sound, note, silence)


def judge_picture(
    path: Path, key: bytes, every: int = 1, max_seconds: float | None = None
) -> tuple[tuple[FaceVerdict, ...], str]:
    """Judge all faces of a video; the second value says why there are none, if so."""
    try:
        faces = see_faces(path, every, max_seconds)
    except RetalkingError as error:
        return (), str(error)
    return judge_faces(faces, key), "" if faces else "no face is seen in it"


def _listen(path: Path, key: bytes) -> tuple[SoundFinding | None, str]:
    try:
        clip = audio.load(path)
    except RetalkingError as error:
        return None, str(error)
    finding = weigh_sound(clip, sound_code(key))
    return finding, "" if finding is not None else "it is silent, or too short"


def judge_faces(faces: list[SeenFace], key: bytes) -> tuple[FaceVerdict, ...]:
    """Judge faces of one video, each by itself."""
    code = picture_code(key)
    findings = [weigh(face.cells, face.weights, face.time_s, code) for face in faces]
    num_tried = max(sum(finding is not None for finding in findings), 1)
    verdicts = []
    for face, finding in zip(faces, findings, strict=True):
        log10_p = 0.0 if finding is None else finding.counting(num_tried)
        verdicts.append(FaceVerdict(face, finding, log10_p))
    return tuple(verdicts)


def check_files(paths: list[Path]) -> None:
    """Refuse what is not there before the first file is looked at.

    Raises:
        MediaError: a file is missing, or is a manifest.
    """
    for path in paths:
        if not path.is_file():
            raise MediaError(f"{path}: no such file")
        if path.suffix == SIDECAR:
            raise MediaError(f"{path}: is a manifest; give the file that it belongs to")
