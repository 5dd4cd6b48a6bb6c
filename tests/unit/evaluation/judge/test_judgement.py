"""Dubs and sights are kept by content, and the report names what is bad."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from retalking.errors import ConfigError, RetalkingError, WeightsError
from retalking.evaluation.judge import dubs
from retalking.evaluation.judge.cast import Speaker, Trial
from retalking.evaluation.judge.dubs import Dubber
from retalking.evaluation.judge.face_features import FaceFeatures
from retalking.evaluation.judge.judges import JUDGE_PYTHON, Judges, Sight
from retalking.evaluation.judge.mouths import compare_mouths
from retalking.evaluation.judge.report import LINES, JudgeReport
from retalking.evaluation.judge.sheet import draw_trial
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_profile
from tests.media import tone, write_audio, write_video

ANN = Speaker("ann", Path("ann.mp4"), "ann")


def make_judges(folder: Path, python: Path = Path(sys.executable)) -> Judges:
    (folder / "face_landmarker.task").write_bytes(b"task")
    return Judges(python, folder, folder / "sights")


def save_sight(path: Path, points: np.ndarray) -> None:
    count = len(points)
    np.savez(
        path,
        time_s=np.arange(count) / 25,
        names=np.array(["opening"]),
        shapes=np.zeros((count, 1)),
        points=points,
    )


def test_a_dub_is_made_once_for_each_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    kept_away: list[float] = []

    class Recorder:
        def __init__(self, config: InferenceConfig, _: object) -> None:
            kept_away.append(config.keep_away_s)

        def __call__(self, face: Path, speech: Path, out: Path) -> None:
            out.write_bytes(face.read_bytes() + speech.read_bytes())
            made.append(out)

    monkeypatch.setattr(dubs, "Retalker", Recorder)
    monkeypatch.setattr(dubs, "load_parts", lambda config: config)
    write_audio(tmp_path / "b.wav", tone(0.5))
    face = tmp_path / "a.mp4"
    face.write_bytes(b"one")
    trial = Trial("cross", face, Speaker("b", tmp_path / "b.wav", "bob"))
    config = load_profile("lite", {})
    first = Dubber(config, tmp_path / "dubs").dub(trial, 0.4)
    assert Dubber(config, tmp_path / "dubs").dub(trial, 0.4) == first
    assert made == [first]
    other = load_profile("lite", {"crf": 30})
    assert Dubber(other, tmp_path / "dubs").dub(trial, 0.4) != first
    assert Dubber(config, tmp_path / "dubs").dub(trial, 0.3) != first
    face.write_bytes(b"two")
    assert Dubber(config, tmp_path / "dubs").dub(trial, 0.4) != first
    assert len(made) == 4
    dubber = Dubber(config, tmp_path / "dubs")
    dubber.dub(Trial("self", face, trial.speaker), 0.4)
    assert kept_away == [0] * 4 + [0.5]


def test_what_a_judge_needs_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scripts/judge/setup\.sh"):
        make_judges(tmp_path, tmp_path / "python")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no face_landmarker\.task"):
        Judges(Path(sys.executable), tmp_path / "empty", tmp_path)


def test_a_judge_that_fails_says_why(tmp_path: Path) -> None:
    """The project's own environment has no dlib."""
    video = tmp_path / "a.mp4"
    video.write_bytes(b"video")
    with pytest.raises(RetalkingError, match=r"judge dlib: failed with 1: .*dlib"):
        make_judges(tmp_path).watch("dlib", [video], 1.0)


def test_a_video_is_looked_at_once(tmp_path: Path) -> None:
    judges = make_judges(tmp_path)
    video = tmp_path / "a.mp4"
    video.write_bytes(b"video")
    save_sight(judges._path("dlib", video, 1.0), np.zeros((3, 68, 2), np.float32))
    judges.watch("dlib", [video, video], 1.0)  # would fail, see above
    assert len(judges.recall("dlib", video, 1.0).time_s) == 3


def good_values() -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for line in LINES:
        wanted = line.wanted
        good = 0.5 if wanted is None else wanted.low if np.isfinite(wanted.low) else wanted.high
        values.setdefault(line.kind, {})[line.name] = good
    return values


def test_a_report_passes_only_if_every_line_and_trial_does(tmp_path: Path) -> None:
    values = good_values()
    trials = {Trial(kind, Path("ann.mp4"), ANN): found for kind, found in values.items()}  # type: ignore[arg-type]
    report = JudgeReport(trials, {}, {})
    assert report.passed
    assert "miss" not in report.table()
    assert not JudgeReport(trials, {Trial("self", Path("bob.mp4"), ANN): "no face"}, {}).passed
    bob = Trial("cross", Path("bob.mp4"), ANN)
    worse = JudgeReport(trials | {bob: values["cross"] | {"leak_opening": 0.4}}, {}, {})
    assert not worse.passed
    (leak,) = [line for line in worse.lines if (line.kind, line.name) == ("cross", "leak_opening")]
    assert worse.bad(leak) == [bob]
    assert "bob+ann 0.40" in worse.table()


def test_a_line_for_every_clip_is_not_judged_by_its_mean() -> None:
    values = good_values()
    kinds = {Trial("self", Path(f"{k}.mp4"), ANN): values["self"] | {"sharpness": sharp}
             for k, sharp in enumerate((0.6, 1.2))}  # fmt: skip
    assert "0.900 (0.60 to 1.20) | miss | 0 0.60, 1 1.20" in JudgeReport(kinds, {}, {}).table()


def test_a_report_is_written_in_three_forms(tmp_path: Path) -> None:
    found = good_values()["self"]
    del found["closures"]  # of lips that never close
    report = JudgeReport({Trial("self", Path("ann.mp4"), ANN): found}, {}, {"seconds": 4})
    report.save(tmp_path / "out")
    read = json.loads((tmp_path / "out" / "judge.json").read_text())
    assert read["trials"] == [{"kind": "self", "clip": "ann", **found}]
    with (tmp_path / "out" / "judge.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["clip"], row["closures"], float(row["r_opening"])) == ("ann", "", 0.82)
    assert "## Its own words" in (tmp_path / "out" / "judge.md").read_text()


def make_mesh_sight(count: int) -> Sight:
    mesh = np.random.default_rng(0).uniform(10, 54, (478, 2)).astype(np.float32)
    mesh[[10, 152, 61, 291]] = (32, 8), (32, 56), (24, 40), (40, 40)
    points = np.stack([mesh] * count)
    return Sight(np.arange(count) / 25, {"opening": np.zeros(count)}, points)


def test_mouths_of_the_truth_itself(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 6, codec="ffv1")
    sight = make_mesh_sight(6)
    sight.points[2] = np.nan
    mouths = compare_mouths(tmp_path / "a.mkv", tmp_path / "a.mkv", sight)
    assert mouths.true.shape == (5, 96, 96, 3)
    np.testing.assert_array_equal(mouths.true, mouths.made)
    assert (mouths.sharpness, mouths.flicker) == (1, 1)


def test_a_sheet_shows_source_result_and_the_lips_to_follow(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 10)
    sight = make_mesh_sight(10)
    sight.points[9] = np.nan
    speaker = Speaker("a", tmp_path / "a.mp4", "ann")
    trial = Trial("cross", tmp_path / "a.mp4", speaker)
    sheet = draw_trial(trial, tmp_path / "a.mp4", sight, sight, sight)
    still = draw_trial(Trial("still", trial.face, speaker), trial.face, sight, sight, sight)
    # Eight columns of 220 px; four rows, a still has no source that moves.
    assert sheet.shape[1] >= 8 * 220
    assert sheet.shape[0] - still.shape[0] == 226


def test_face_features_without_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"face_recognition_model\.bin"):
        FaceFeatures(tmp_path)


@pytest.mark.shared
def test_a_blur_costs_what_the_study_found(shared_dir: Path) -> None:
    """0.019 for a radius of 1 px was measured on photographs; noise has more fine detail."""
    import cv2

    features = FaceFeatures(shared_dir / "teachers")
    photographs = sorted((shared_dir / "photos").glob("*.jpg"))[:2]
    faces = np.stack([cv2.resize(cv2.imread(str(p)), (150, 150)) for p in photographs])
    blurred = np.stack([cv2.GaussianBlur(face, (0, 0), 1.0) for face in faces])
    assert features.distance(faces, faces) == 0
    assert 0.005 < features.distance(blurred, faces) < 0.05
    assert features.distance(np.roll(faces, 20, axis=1), faces) > features.distance(blurred, faces)


@pytest.mark.shared
@pytest.mark.parametrize("judge", ["mediapipe", "dlib"])
def test_the_judges_see_lips_move(shared_dir: Path, tmp_path: Path, judge: str) -> None:
    if not JUDGE_PYTHON.is_file():
        pytest.skip(f"{JUDGE_PYTHON} is not here; bash scripts/judge/setup.sh makes it")
    judges = Judges(JUDGE_PYTHON, shared_dir / "teachers", tmp_path)
    video = shared_dir / "clips" / "val" / "hdtf_menendez.mp4"
    judges.watch(judge, [video], 0.4)  # type: ignore[arg-type]
    sight = judges.recall(judge, video, 0.4)  # type: ignore[arg-type]
    assert len(sight.time_s) == 10
    assert sight.found.all()
    assert sight.shapes["opening"].std() > 0
    assert 0.2 < sight.shapes["width"].mean() < 1.2
