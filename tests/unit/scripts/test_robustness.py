"""Attacks do what their names say, and figures are added up right."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from retalking.errors import MediaError
from retalking.exit_code import EXIT_ERROR, EXIT_INTERRUPTED
from retalking.trust.picture.faces import SeenFace
from scripts.measure import robustness
from scripts.measure.marks.null import sound_null_scores, summarise
from scripts.measure.marks.picture_attacks import PICTURE_ATTACKS, Clip, names_of, read_clip
from scripts.measure.marks.seen import seen_once
from scripts.measure.marks.sound_attacks import SOUND_ATTACKS
from scripts.measure.robustness import tally, user_of
from tests.media import moving_picture, speech_like, write_audio

CLIP = Clip(tuple(moving_picture(number, 64, 48) for number in range(10)), Fraction(25))


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("scaled to 50 %", (24, 32), 10),
        ("scaled to 200 %", (96, 128), 10),
        ("cropped by 20 %", (44, 52), 10),
        ("15 frames/s", (48, 64), 6),
        ("50 frames/s", (48, 64), 20),
        ("the last 70 %", (48, 64), 7),
        ("two generations", (48, 64), 10),
        ("VP9 crf 33", (48, 64), 10),
        ("H.265 crf 28", (48, 64), 10),
    ],
)
def test_sizes_and_times_after_an_attack(
    tmp_path: Path, name: str, size: tuple[int, int], count: int
) -> None:
    path = tmp_path / "attacked.mp4"
    PICTURE_ATTACKS[name].apply(CLIP, path)
    attacked = read_clip(path)
    assert attacked.frames[0].shape[:2] == size
    assert len(attacked.frames) == count


@pytest.mark.parametrize("name", SOUND_ATTACKS)
def test_sound_stays_sound_after_an_attack(name: str) -> None:
    sound = speech_like(2.0, 16000).astype(np.float32).reshape(-1)
    attacked = SOUND_ATTACKS[name](sound, 16000)
    assert attacked.dtype == np.float32
    assert 0.3 < attacked.std() / sound.std() < 1.5
    lasting = {"speed +2 %": 1 / 1.02, "speed -2 %": 1 / 0.98, "cut, and a gap": 0.1905}
    if name in lasting:
        assert len(attacked) == pytest.approx(lasting[name] * len(sound), rel=0.01)
    else:
        assert abs(len(attacked) - len(sound)) < 2500  # a codec's padding


def test_attacks_are_chosen_by_words_of_their_names() -> None:
    assert names_of(["mirror", "15 frames"]) == ["15 frames/s", "mirrored"]
    assert names_of(None) == list(PICTURE_ATTACKS)


def test_findings_are_counted_at_the_threshold() -> None:
    rows = [
        {"attack": "a", "log10_p": -9.0, "right": True, "user": 0},
        {"attack": "a", "log10_p": -6.0, "right": False, "user": 7},
        {"attack": "a", "log10_p": -5.9, "right": True, "user": 7},
    ]
    assert tally(rows) == {
        "a": {"files": 3, "found": 2, "right": 1, "own": 1, "weakest": -5.9, "median": -6.0}
    }
    assert tally([{**rows[0], "log10_p": -10.9}])["a"]["own"] == 1


def test_what_was_seen_is_not_looked_at_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    face = SeenFace(
        cells=rng.normal(size=(7, 5, 72)).astype(np.float32),
        weights=rng.random(72).astype(np.float32),
        time_s=np.arange(7) / 25,
        height_px=123.4,
        portrait=rng.integers(0, 256, (112, 112, 3), dtype=np.uint8),
    )
    for name, faces in (("two", [face, dataclasses.replace(face, height_px=60.0)]), ("none", [])):
        file = tmp_path / "seen" / f"{name}.arrays"
        assert seen_once(file, lambda faces=faces: faces) == faces  # type: ignore[misc]
        again = seen_once(file, lambda: pytest.fail("looked at again"))
        assert [one.height_px for one in again] == [one.height_px for one in faces]
        for one, kept in zip(faces, again, strict=True):
            for field in ("cells", "weights", "time_s", "portrait"):
                np.testing.assert_array_equal(getattr(kept, field), getattr(one, field))
                assert getattr(kept, field).dtype == getattr(one, field).dtype


def test_a_killed_measurement_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, path in enumerate(speech):
        write_audio(path, speech_like(3.1, 8000, number), 8000)
    looked: list[str] = []

    def scores(path: Path, *_: object) -> Iterator[np.ndarray]:
        if path == speech[1] and not looked.count(path.name):
            looked.append(path.name)
            raise KeyboardInterrupt
        looked.append(path.name)
        yield np.linspace(-2, 0, 30)

    monkeypatch.setattr(robustness, "sound_null_scores", scores)
    out = tmp_path / "out.json"
    command = ["sound-null", *map(str, speech), "--out", str(out), "--go-on"]
    assert robustness.main(command) == EXIT_INTERRUPTED
    assert robustness.main(command) == 0
    assert looked == ["0.wav", "1.wav", "1.wav", "2.wav"]
    assert json.loads(out.read_text())["summary"]["num_scores"] == 90

    write_audio(speech[0], speech_like(3.1, 8000, 9), 8000)  # another file of this name
    assert robustness.main([*command, "--keys", "1"]) == 0
    assert robustness.main([*command, "--keys", "2"]) == 0
    assert looked[4:] == ["0.wav", "0.wav", "1.wav", "2.wav"]

    out.write_text("{}")
    assert robustness.main(command) == EXIT_ERROR


def test_the_payload_is_told_by_the_comment(tmp_path: Path) -> None:
    path = tmp_path / "dub.mp4"
    for comment, user in (("AI (watermark 5E13BEEF). holiday", 0xBEEF), ("5E11BEEF", None)):
        with av.open(str(path), "w") as container:
            container.metadata["comment"] = comment
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            frame = av.VideoFrame.from_ndarray(CLIP.frames[0], format="rgb24")
            container.mux([*stream.encode(frame), *stream.encode(None)])
        if user is None:
            with pytest.raises(MediaError, match="no watermark of this version"):
                user_of(path)
        else:
            assert user_of(path) == user


def test_unmarked_sound_is_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    write_audio(path, speech_like(2.2, 8000), 8000)
    scores = np.concatenate(list(sound_null_scores(path, 1.2, 1)))
    assert len(scores) == 4
    assert scores.min() > -4  # one of 2,500 such fours is lower


def test_an_exact_promise_has_a_tail_of_slope_one() -> None:
    scores = np.log10(np.random.default_rng(0).random((2000, 10)))
    summary = summarise(list(scores), -6.0)
    assert summary.slope == pytest.approx(1, abs=0.05)
    assert summary.share_at_threshold == pytest.approx(1e-6, rel=0.6)
    assert summary.shares["1e-2"] == pytest.approx(0.01, rel=0.3)


def test_scores_as_high_as_they_can_be_are_no_tail() -> None:
    """A search over millions of sums promises nothing below 1 for most windows."""
    scores = np.minimum(np.log10(np.random.default_rng(0).random((2000, 10))) + 1.5, 0)
    assert summarise(list(scores), -6.0).slope == pytest.approx(1, abs=0.1)
