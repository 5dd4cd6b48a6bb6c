"""Attacks do what their names say, and figures are added up right."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from retalking.errors import MediaError
from scripts.measure.marks.null import sound_null_scores, summarise
from scripts.measure.marks.picture_attacks import PICTURE_ATTACKS, Clip, names_of, read_clip
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
        {"attack": "a", "log10_p": -9.0, "right": True},
        {"attack": "a", "log10_p": -6.0, "right": False},
        {"attack": "a", "log10_p": -5.9, "right": True},
    ]
    assert tally(rows) == {
        "a": {"files": 3, "found": 2, "right": 1, "weakest": -5.9, "median": -6.0}
    }


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
    assert len(scores) == 2
    assert scores.min() > -4  # one of 5,000 such pairs is lower


def test_an_exact_promise_has_a_tail_of_slope_one() -> None:
    scores = np.log10(np.random.default_rng(0).random((2000, 10)))
    summary = summarise(list(scores), -6.0)
    assert summary.slope == pytest.approx(1, abs=0.05)
    assert summary.share_at_threshold == pytest.approx(1e-6, rel=0.6)
    assert summary.shares["1e-2"] == pytest.approx(0.01, rel=0.3)
