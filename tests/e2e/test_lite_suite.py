"""The lite suite on a real face with small random networks: it measures what inference makes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from retalking.evaluation.lite.rehearsal import Rehearsal
from retalking.evaluation.lite.report import DNET_LINES, ENET_LINES, LINES
from retalking.evaluation.lite.scene import LiteClip
from retalking.evaluation.lite.suite import run_lite_suite
from retalking.face.crops import LIP_PX, cut
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.media.video import VideoReader
from retalking.networks.load import Parts, load_parts
from tests import media
from tests.e2e.conftest import FRAMES, HEIGHT, WIDTH, StillDNet, portrait_frames


@pytest.fixture(scope="module")
def small(small_networks: dict[str, Path]) -> list[str]:
    files = [f"{name}={path}" for name, path in small_networks.items()]
    return [*files, "batch_size=2", "chunk_size=3", "device=cpu"]


@pytest.fixture(scope="module")
def parts(small: list[str]) -> Parts:
    return load_parts(load_profile("small", {}, small))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> LiteClip:
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    speech = media.speech_like(FRAMES / 25)
    pictures = portrait_frames(FRAMES)
    media.write_video(path, pictures=pictures, width=WIDTH, height=HEIGHT, audio=speech)
    return LiteClip("talk", path)


def test_every_line_is_measured_and_a_broken_clip_is_named(
    small: list[str], parts: Parts, talk: LiteClip, tmp_path: Path
) -> None:
    still = dataclasses.replace(parts, dnet=StillDNet())  # type: ignore[arg-type]
    report = run_lite_suite(
        [talk, LiteClip("absent", tmp_path / "absent.mp4")],
        overrides=[*small, "reference_source=current", f"tmp_dir={tmp_path}"],
        parts=still,
    )
    values = report.clips["talk"]
    assert set(values) == {line.name for line in LINES}
    assert np.isfinite(list(values.values())).all()
    # A D-Net that leaves the face alone changes nothing that is measured of it.
    assert values["opening_drop"] == pytest.approx(0, abs=1e-6)
    assert values["displacement"] == pytest.approx(0, abs=1e-6)
    assert "no such file" in report.failures["absent"]
    assert not report.passed


def test_lines_of_absent_networks_are_left_out_and_said_so(
    small: list[str], parts: Parts, talk: LiteClip, tmp_path: Path
) -> None:
    enet = parts.enet
    alone = dataclasses.replace(parts, dnet=None, enet=enet.low_res)  # type: ignore[arg-type]
    overrides = [*small, f"tmp_dir={tmp_path}"]
    report = run_lite_suite([talk, talk], overrides=overrides, limit=1, parts=alone)
    left_out = {line.name for line in (*DNET_LINES, *ENET_LINES)}
    assert set(report.clips["talk"]) == {line.name for line in LINES} - left_out
    assert [note[:8] for note in report.notes] == ["No D-Net", "No E-Net"]


def test_the_faces_measured_are_those_of_the_dubbed_video(
    small: list[str], parts: Parts, talk: LiteClip, tmp_path: Path
) -> None:
    options = {"codec": "ffv1", "length_policy": "video", "tmp_dir": str(tmp_path)}
    config = load_profile("small", options, small)
    Retalker(config, parts)(talk.video, talk.video, tmp_path / "out.mkv")
    with VideoReader(tmp_path / "out.mkv") as reader:
        output = np.concatenate([chunk.rgb for chunk in reader.read_chunks(8)])
    retalker = Retalker(config, parts)
    with retalker.prepare(talk.video) as scene:
        dub = retalker.plan(scene, talk.video)
        takes = list(Rehearsal(retalker, dub, {}).show_faces())
    assert np.concatenate([take.numbers for take in takes]).tolist() == list(range(FRAMES))
    for take in takes:
        for number, face in zip(take.numbers, take.dubbed, strict=True):
            crop = scene.to_lips[number]
            np.testing.assert_array_equal(cut(output[number], crop, LIP_PX), face)
