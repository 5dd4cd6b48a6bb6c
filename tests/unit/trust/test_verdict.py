"""What is told of a file: in one sentence, for programs, and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retalking.exit_code import EXIT_OK
from retalking.trust.manifest.reading import Manifest
from retalking.trust.picture.evidence import Finding
from retalking.trust.picture.faces import SeenFace
from retalking.trust.sound.evidence import SoundFinding
from retalking.trust.verdict import verification
from retalking.trust.verdict.report import write_report
from retalking.trust.verdict.telling import as_json, as_text
from retalking.trust.verdict.verification import FaceVerdict, Verdict
from scripts.verify import main
from tests.media import tone, write_audio, write_video

VALID = Manifest("valid", "Somebody", True, False, True, ("c2pa.edited",))
BROKEN = Manifest("broken", "Somebody", True, False, True, (), ("assertion.bmffHash.mismatch",))
ABSENT = Manifest("absent")
LOUD, FAINT = SoundFinding(7, -20.0, (-19.0,)), SoundFinding(9, -3.0, (-3.0,))


def face(log10_p: float) -> FaceVerdict:
    seen = SeenFace(
        np.zeros((50, 5, 512), np.float32),
        np.ones(512, np.float32),
        np.arange(50) / 25,
        123.0,
        np.full((112, 112, 3), 90, np.uint8),
    )
    return FaceVerdict(seen, Finding(7, log10_p, (log10_p, -1.0), mirrored=True), log10_p)


def verdict(manifest: Manifest, *faces: FaceVerdict, sound: SoundFinding | None = None) -> Verdict:
    return Verdict(Path("film.mp4"), manifest, "holiday", faces, sound)


CASES = [
    (
        verdict(VALID, face(-12), sound=LOUD),
        "mark in the picture and sound (5E130007), and a valid",
    ),
    (verdict(BROKEN, face(-12)), "its manifest is broken, so the file was changed afterwards"),
    (verdict(ABSENT, face(-3), face(-8)), "mark in the picture (5E130007); it has no manifest"),
    (verdict(ABSENT, sound=LOUD), "mark in the sound (5E130007); it has no manifest"),
    (verdict(BROKEN, face(-5.9), sound=FAINT), "broken, so the file was changed after signing"),
    (verdict(VALID), "valid and says that AI edited it"),
    (verdict(ABSENT, face(-5.9), sound=FAINT), "which does not make it genuine"),
    (verdict(Manifest("unread")), "which does not make it genuine"),
]


@pytest.mark.parametrize(("told", "words"), CASES)
def test_one_sentence_says_it(told: Verdict, words: str) -> None:
    assert words in told.sentence
    assert told.sentence in as_text(told)
    assert "is genuine" not in as_text(told)


def test_each_face_is_told_of_by_itself() -> None:
    told = verdict(ABSENT, face(-3), face(-8))
    assert "face 0    123 px, 50 frames: no mark (chance 1e-3.0)" in as_text(told)
    assert "face 1    123 px, 50 frames: marked 5E130007 (chance 1e-8.0, mirrored)" in as_text(told)
    read = json.loads(json.dumps(as_json(told)))
    assert [entry["user_payload"] for entry in read["picture"]["faces"]] == [None, 7]
    assert read["sound"]["log10_p"] is None


def test_the_page_shows_faces_and_evidence_and_escapes_names(tmp_path: Path) -> None:
    told = Verdict(Path("<b>.mp4"), VALID, "", (face(-9),), LOUD)
    write_report(tmp_path / "page.html", [told])
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "&lt;b&gt;.mp4" in page
    assert "<b>" not in page
    assert page.count("<rect") == 2
    assert "data:image/png;base64," in page


def test_files_without_a_face_a_picture_or_a_sound_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "see_faces", lambda *_: [])  # searching takes seconds
    write_video(tmp_path / "silent.mp4", 4)
    write_audio(tmp_path / "short.wav", tone(0.2, 16000))
    assert main([str(tmp_path / "silent.mp4"), str(tmp_path / "short.wav"), "--json"]) == EXIT_OK
    silent, short = json.loads(capsys.readouterr().out)
    assert silent["picture"]["note"] == "no face is seen in it"
    assert "no audio stream" in silent["sound"]["note"]
    assert short["picture"]["note"] == "it has no picture"
    assert "too short" in short["sound"]["note"]


def test_a_missing_file_or_key_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_audio(tmp_path / "a.wav", tone(0.2, 16000))
    (tmp_path / "key").write_bytes(b"short")
    for words, told in (
        ([str(tmp_path / "no.mp4")], "no.mp4: no such file"),
        ([str(tmp_path / "a.wav"), "--watermark-key", str(tmp_path / "key")], "at least 16"),
        ([str(tmp_path / "a.wav"), "--watermark-key", "nowhere"], "cannot be read"),
    ):
        assert main(words) == 2
        assert told in capsys.readouterr().err
