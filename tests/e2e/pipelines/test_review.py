"""The report after a job, on a real face and on clips whose faults are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from retalking import Retalker
from retalking.errors import MediaError
from retalking.inference.cli import main
from retalking.inference.dub import review_dub
from retalking.locations import REPOSITORY
from retalking.media.images import load_image
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound import audio
from retalking.media.video_info import probe
from retalking.review.review import Review

SECONDS = 5.0
GOOD = {
    "vox_00067": "hdtf_aoc",
    "dfrf_acosta": "latentsync_2",
    "latentsync_2": "vretalk_2",
    "lrs2_15499_00001": "vox_patrickstewart",
    "mead_W015_level_1_neutral_030": "hdtf_aoc",
}
"""Faces that are given the words of others."""


def test_a_job_reports_on_itself(
    tmp_path: Path, clip: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "seen.json"
    job = ["--face", str(clip), "--audio", str(speech), "--outfile", str(tmp_path / "out.mp4")]
    options = ["--profile", "lite", "--tmp-dir", str(tmp_path), "--report", str(report)]
    assert main([*job, *options]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[-3:]] == [
        "review",
        "frames",
        "lips",
    ]
    found = json.loads(report.read_text("utf-8"))
    assert {"edited", "seam", "sharpness"} <= {figure["name"] for figure in found["figures"]}
    assert main([*job, *options[:-1], str(tmp_path / "seen.txt")]) == 2
    assert ".html or .json" in capsys.readouterr().err


def test_a_preview_is_three_passages_with_their_sound_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample, outfile = REPOSITORY / "assets" / "sample", tmp_path / "seen.mp4"
    job = ["--face", str(sample / "talk.mp4"), "--audio", str(sample / "speech.wav")]
    options = ["--profile", "lite", "--tmp-dir", str(tmp_path / "cache"), "--preview"]
    assert main([*job, "--outfile", str(outfile), *options]) == 0
    out = capsys.readouterr().out
    assert "start at 0.0 s" in out
    assert "loudest at" in out
    assert "head turned most at" in out
    assert probe(outfile).num_frames == 3 * 15  # 0.6 s each
    assert audio.load(outfile).duration_s == pytest.approx(1.8, abs=0.1)
    assert load_image(outfile.with_suffix(".png")).shape[2] == 3
    assert not list((tmp_path / "cache").glob("preview-*"))


def test_another_video_is_no_result_of_the_job(tmp_path: Path, clip: Path, speech: Path) -> None:
    retalker = Retalker.from_profile("lite", tmp_dir=tmp_path, max_seconds=0.2)
    with retalker.prepare(clip) as scene:
        dub = retalker.plan(scene, speech)
        with pytest.raises(MediaError, match="frames are those of this job"):
            review_dub(dub, clip, retalker.parts, retalker.config)


@pytest.mark.shared
@pytest.mark.slow
def test_reports_flag_what_a_person_would(tmp_path: Path, shared_dir: Path) -> None:
    """Five dubs that look right; one out of step, one frozen, one with a hidden mouth."""
    clips = shared_dir / "clips" / "val"

    def look(face: Path, words: str, **options: object) -> Review:
        retalker = Retalker.from_profile("lite", tmp_dir=tmp_path, max_seconds=SECONDS, **options)
        done = retalker(face, clips / f"{words}.mp4", tmp_path / "out.mp4", review=True)
        assert done.review is not None
        return done.review

    for face, words in GOOD.items():
        assert look(clips / f"{face}.mp4", words).troubles == [], face
    late = look(clips / "latentsync_2.mp4", "vretalk_2", sync_offset_ms=-8 * 40)
    assert "late_ms" in {finding.rule.name for finding in late.troubles}
    assert late.figures["late_ms"] == pytest.approx(320, abs=40)
    frozen = look(clips / "vox_00067.mp4", "hdtf_aoc", lip_strength=0.0)
    assert {"motion", "follow"} <= {finding.rule.name for finding in frozen.troubles}
    hidden = look(hide_mouth(clips / "hdtf_aoc.mp4", tmp_path), "dfrf_acosta")
    assert [finding.rule.name for finding in hidden.troubles] == ["hidden"]


def hide_mouth(video: Path, folder: Path) -> Path:
    """Lay a card over the mouth from 40 to 70 % of the clip."""
    path = folder / "hidden.mp4"
    retalker = Retalker.from_profile("lite", tmp_dir=folder, max_seconds=SECONDS)
    with retalker.prepare(video) as scene:
        faces, source = scene.analysis.track.landmarks_px, scene.source
        with VideoWriter(path, source.info, EncoderOptions(codec="libx264", crf=12)) as writer:
            for chunk in source.read_all(8):
                rgb = chunk.rgb.copy()
                for row, number in enumerate(range(chunk.start, chunk.start + len(chunk))):
                    if 0.4 <= number / len(faces) < 0.7:
                        middle = faces[number][48:68].mean(axis=0)
                        reach = np.ptp(faces[number][48:60, 0]) * np.array([0.75, 0.5])
                        low, high = np.rint([middle - reach, middle + reach]).astype(int).tolist()
                        cv2.rectangle(rgb[row], low, high, (60, 70, 160), -1)
                writer.write(rgb, chunk.pts)
    return path
