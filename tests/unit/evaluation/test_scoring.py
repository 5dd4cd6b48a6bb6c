"""Which frames, speech and faces a metric is shown for a result."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import FaceNotFoundError, MediaError
from retalking.evaluation.methods import Framing
from retalking.evaluation.pairs import Pair
from retalking.evaluation.scoring import Scorer
from tests import media
from tests.toy_metrics import Brightness, Difference, FaceWidth, Unmeasurable

FRAMES = 5
LOSSLESS = {"codec": "ffv1", "pixel_format": "bgr0"}


def make_pair(folder: Path, audio_s: float) -> tuple[Pair, list[np.ndarray]]:
    video, speech = folder / "talk.mkv", folder / "speech.wav"
    frames = media.write_video(video, FRAMES, **LOSSLESS)
    media.write_audio(speech, media.speech_like(audio_s))
    return Pair(3, video, speech), frames


def dub(folder: Path, frames: list[np.ndarray], rate: int = 25) -> Path:
    path = folder / "00003.mkv"
    media.write_video(path, pictures=frames, rate=Fraction(rate), **LOSSLESS)
    return path


@pytest.mark.parametrize(
    ("framing", "behind"),
    [
        (Framing("audio"), [0, 1, 2, 3, 4, 3, 2, 1, 0]),
        (Framing("loop"), [0, 1, 2, 3, 4, 0, 1, 2, 3]),
        (Framing("hold"), [0, 1, 2, 3, 4, 4, 4, 4, 4]),
        (Framing("loop", max_seconds=0.12), [0, 1, 2]),
        (Framing("loop", static=True), [0] * 9),
    ],
)
def test_the_frame_behind_each_frame_is_found(
    tmp_path: Path, framing: Framing, behind: list[int]
) -> None:
    pair, frames = make_pair(tmp_path, audio_s=0.36)
    result = dub(tmp_path, [frames[index] for index in behind])
    metric = Difference()
    found = Scorer({"difference": metric}).score(pair, result, framing, ["difference"])
    shown = [np.array_equal(a, frames[i]) for a, i in zip(metric.shown, behind, strict=True)]
    assert all(shown)
    assert metric.values(found["difference"]) == {"difference": 0.0}


def test_a_result_of_another_frame_rate_is_met_by_time(tmp_path: Path) -> None:
    pair, frames = make_pair(tmp_path, audio_s=0.2)
    doubled = [frames[index // 2] for index in range(2 * FRAMES)]
    metric = Difference()
    scorer = Scorer({"difference": metric})
    scorer.score(pair, dub(tmp_path, doubled, rate=50), Framing(), ["difference"])
    assert len(metric.shown) == 2 * FRAMES
    numbers = [next(i for i, f in enumerate(frames) if np.array_equal(f, s)) for s in metric.shown]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(FRAMES))


def test_frames_beyond_the_speech_do_not_count(tmp_path: Path) -> None:
    pair, frames = make_pair(tmp_path, audio_s=0.12)
    metric = Brightness()
    scorer = Scorer({"brightness": metric})
    scorer.score(pair, dub(tmp_path, frames), Framing(), ["brightness"])
    assert metric.num_frames == 3
    assert metric.clips[0].speech is not None
    assert metric.clips[0].speech.duration_s == pytest.approx(0.12)
    assert metric.clips[0].frame_rate == 25


def test_a_cropped_source_meets_a_result_of_its_size(tmp_path: Path) -> None:
    pair, frames = make_pair(tmp_path, audio_s=0.2)
    cropped = [frame[8:40, 16:64] for frame in frames]
    framing = Framing(crop=(8, 40, 16, 64))
    metric = Difference()
    found = Scorer({"d": metric}).score(pair, dub(tmp_path, cropped), framing, ["d"])
    assert metric.values(found["d"]) == {"difference": 0.0}


def test_a_metric_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    pair, frames = make_pair(tmp_path, audio_s=0.2)
    small = [frame[:32] for frame in frames]
    metrics = {
        "brightness": Brightness(),
        "difference": Difference(),
        "unmeasurable": Unmeasurable(),
        "face_width": FaceWidth(),
    }
    scorer = Scorer(metrics)
    found = scorer.score(pair, dub(tmp_path, small), Framing(), list(metrics))
    mean = np.mean(small, dtype=float)
    assert metrics["brightness"].values(found["brightness"])["brightness"] == pytest.approx(mean)
    assert isinstance(found["difference"], MediaError)
    assert "give videos of one size" in str(found["difference"])
    assert str(found["unmeasurable"]) == "cannot be measured"
    assert isinstance(found["face_width"], FaceNotFoundError)
    assert str(found["face_width"]) == "no face found in the result video"


def test_the_truth_is_known_for_own_speech_alone(tmp_path: Path) -> None:
    frames = media.write_video(tmp_path / "talk.mkv", FRAMES, audio=media.speech_like(0.2))
    talk = tmp_path / "talk.mkv"
    scorer = Scorer({"difference": Difference("truth"), "brightness": Brightness()})
    assert not scorer.applies("difference", Pair(0, talk, tmp_path / "other.wav"))
    assert scorer.applies("brightness", Pair(0, talk, tmp_path / "other.wav"))
    own = Pair(0, talk, talk)
    assert scorer.applies("difference", own)
    result = dub(tmp_path, [255 - frame for frame in frames])
    found = scorer.score(own, result, Framing(), ["difference"])
    assert not isinstance(found["difference"], MediaError)
    assert scorer.metrics["difference"].values(found["difference"])["difference"] > 20


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    pair, frames = make_pair(tmp_path, audio_s=0.2)
    result = dub(tmp_path, frames)
    scorer = Scorer({"difference": Difference()})
    gone = Pair(3, tmp_path / "gone.mp4", pair.audio)
    with pytest.raises(MediaError, match=r"gone\.mp4: no such file"):
        scorer.score(gone, result, Framing(), ["difference"])
    silent = Pair(3, pair.video, pair.video)
    with pytest.raises(MediaError, match=r"talk\.mkv"):
        scorer.score(silent, result, Framing(), ["difference"])
