"""Tables and evaluations from the command line to the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from retalking.evaluation.pairs import read_pairs
from scripts import evaluate, reproduce_tables
from tests import media
from tests.e2e.conftest import FRAMES, HEIGHT, WIDTH, portrait_frames
from tests.rounding import SINGLE


@pytest.fixture(scope="module")
def small(small_networks: dict[str, Path]) -> list[str]:
    files = [("--set", f"{name}={path}") for name, path in small_networks.items()]
    return [*(word for pair in files for word in pair), "--device", "cpu"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two talks with a face and a voice of their own."""
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("one", "two")):
        media.write_video(
            folder / f"{name}.mp4",
            pictures=[np.roll(frame, 4 * number, axis=1) for frame in portrait_frames(FRAMES)],
            width=WIDTH,
            height=HEIGHT,
            audio=media.speech_like(FRAMES / 25, seed=number),
        )
    return folder


def run_evaluate(*command: str) -> int:
    return evaluate.main(list(command))


def read_rows(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "report.csv").open(encoding="utf-8", newline="") as file:
        return {(row["method"], row["origin"]): row for row in csv.DictReader(file)}


def cache(tmp_path: Path) -> list[str]:
    return ["--set", f"tmp_dir={tmp_path / 'cache'}"]


def test_table_3_runs_what_it_can_and_names_the_rest(
    small: list[str], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["table3", "--profile", "small", "--clips", str(clips), "--limit", "1"]
    command += ["--out", str(out), "--metrics", "cpbd,seam,fid", "--weights", "inception=gone.pth"]
    command += ["--no-cross-attention", "gone.pt", *small, *cache(tmp_path)]
    assert reproduce_tables.main(command) == 1
    rows = read_rows(out)
    for label in ("L-Net", "L-Net + E-Net", "L-Net + E-Net + D-Net"):
        assert 0 <= float(rows[label, "measured here"]["cpbd"]) <= 1
        assert float(rows[label, "measured here"]["seam"]) > 0
    assert ("L-Net w/o cross-att.", "measured here") not in rows
    assert rows["L-Net + E-Net", "published"]["fid"] == "3.334"
    page = capsys.readouterr().out
    assert "these are not the paper's figures" in page
    assert "L-Net w/o cross-att.: not here: gone.pt" in page
    assert "gone.pth" in json.loads((out / "report.json").read_bytes())["left_out"]["fid"]
    times = {path: path.stat().st_mtime_ns for path in (out / "videos").rglob("*.mp4")}
    assert len({path.read_bytes() for path in times}) == len(times) == 3
    assert reproduce_tables.main(command) == 1
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_table_4_and_appendix_b_have_their_rows(
    small: list[str], clips: Path, tmp_path: Path
) -> None:
    common = ["--profile", "small", "--clips", str(clips), "--limit", "1", "--metrics", "cpbd"]
    common += ["--seconds", "0.12", *small, *cache(tmp_path)]
    assert reproduce_tables.main(["table4", "--out", str(tmp_path / "4"), *common]) == 0
    rows = read_rows(tmp_path / "4")
    assert [label for label, origin in rows if origin == "measured here"] == [
        "0", "0.2", "0.4", "0.6", "0.8", "1"
    ]  # fmt: skip
    assert rows["0.4", "published"]["lse_d"] == "9.092"
    assert reproduce_tables.main(["appendix_b", "--out", str(tmp_path / "b"), *common]) == 0
    assert set(read_rows(tmp_path / "b")) == {
        ("one-shot", "measured here"),
        ("video-to-video", "measured here"),
    }


def test_a_list_with_faults_is_measured_as_far_as_it_goes(
    small: list[str], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media.write_video(tmp_path / "wall.mp4", 3, audio=media.speech_like(0.12))
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(
        f"{clips}/one.mp4 {clips}/one.mp4\n{clips}/gone.mp4 {clips}/two.mp4\n"
        f"wall.mp4 {clips}/two.mp4\n{clips}/two.mp4 {clips}/two.mp4\n"
    )
    common = ["--profile", "small", "--metrics", "psnr,lmd,mouth_correlation", "--seconds", "0.12"]
    common += ["--pairs", str(pairs), *small, *cache(tmp_path)]
    assert run_evaluate("--out", str(tmp_path / "all"), *common) == 1
    problems = json.loads((tmp_path / "all" / "problems.json").read_bytes())["Ours"]
    assert "gone.mp4: no such file" in problems["00001"]["result"]
    assert "wall.mp4: no face found" in problems["00002"]["result"]
    assert set(problems) >= {"00001", "00002"}
    whole = read_rows(tmp_path / "all")["Ours", "measured here"]
    assert 10 < float(whole["psnr"]) < 60
    assert 0 <= float(whole["lmd"]) < 50
    for shard in ("1", "2"):
        out = str(tmp_path / f"shard{shard}")
        assert run_evaluate("--out", out, "--shard", f"{shard}/2", *common) == 1
    folders = [str(tmp_path / f"shard{shard}") for shard in ("1", "2")]
    capsys.readouterr()
    merged = ["--merge", *folders, "--out", str(tmp_path / "merged"), "--metrics", "psnr,lmd"]
    assert evaluate.main(merged) == 1
    page = capsys.readouterr().out
    assert "Pairs: 4." in page
    assert "Ours, pair 00001, result:" in page
    joined = read_rows(tmp_path / "merged")["Ours", "measured here"]
    assert float(joined["psnr"]) == pytest.approx(float(whole["psnr"]), rel=SINGLE)
    assert float(joined["lmd"]) == pytest.approx(float(whole["lmd"]), rel=SINGLE)


def test_another_tools_results_are_measured_without_a_profile(clips: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"{clips}/one.mp4 {clips}/one.mp4\n")
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "one__one.mp4").write_bytes((clips / "one.mp4").read_bytes())
    command = ["--pairs", str(pairs), "--outputs", f"Tool={tmp_path / 'tool'}"]
    command += ["--metrics", "psnr,ssim", "--out", str(tmp_path / "out")]
    assert evaluate.main(command) == 0
    row = read_rows(tmp_path / "out")["Tool", "measured here"]
    assert (float(row["psnr"]), float(row["ssim"])) == (100.0, pytest.approx(1.0))


def test_a_user_study_goes_from_clips_to_a_page_to_means(
    small: list[str], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "0.mp4").write_bytes((clips / "one.mp4").read_bytes())
    command = ["user_study", "--profile", "small", "--clips", str(clips), "--out", str(out)]
    command += ["--outputs", f"Wav2Lip={tmp_path / 'tool'}", "--seconds", "0.12", *small]
    assert reproduce_tables.main([*command, *cache(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "left out: pair 00001:" in printed
    assert "rate.html: 2 videos to rate" in printed
    key = json.loads((out / "study" / "key.json").read_bytes())
    ratings = {
        name: {"visual_quality": 5 if item["method"] == "Ours" else 2, "lip_sync_quality": 3}
        for name, item in key["items"].items()
    }
    answers = {"study": key["study"], "participant": "a", "order": [*ratings], "ratings": ratings}
    (tmp_path / "a.json").write_text(json.dumps(answers))
    command = ["user_study", "--answers", str(tmp_path / "a.json"), "--out", str(out)]
    assert reproduce_tables.main(command) == 0
    assert "| Ours | measured here | 5.000 | 3.000 |" in capsys.readouterr().out
    assert json.loads((out / "study" / "result.json").read_bytes())["num_opinions"] == 2


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["--pairs", "gone.txt", "--profile", "small"], "gone.txt: cannot read"),
        (["--pairs", "P", "--profile", "small", "--metrics", "fud"], "--metrics: got 'fud'"),
        (["--pairs", "P", "--outputs", "Tool"], "--outputs Tool: expected NAME=VALUE"),
        (["--pairs", "P", "--outputs", "Tool=gone"], "gone: no such folder"),
        (["--pairs", "P", "--profile", "small", "--shard", "3/2"], "--shard: got '3/2'"),
        (["--pairs", "P", "--profile", "small", "--set", "crf=99"], "crf"),
        (["--merge", "gone"], "gone: no evaluation.json"),
        (["--suite", "lite", "--clips", "gone"], "gone: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], fault: str
) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("a b\n")
    words = [str(pairs) if word == "P" else word for word in command]
    assert evaluate.main([*words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert fault in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["table9"],
        ["table3", "--profile", "small"],
        ["table3", "--clips", "x"],
        ["table3", "--profile", "small", "--answers", "x"],
        ["table3", "--profile", "small", "--clips", "x", "--limit", "0"],
    ],
)
def test_impossible_commands_are_refused(command: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        reproduce_tables.main([*command, "--out", "x"])
    assert stop.value.code == 2


@pytest.mark.slow  # 45 s of a core
@pytest.mark.shared
def test_the_chain_runs_on_real_clips_with_the_lite_weights(
    shared_dir: Path, tmp_path: Path
) -> None:
    val = shared_dir / "clips" / "val"
    pairs = tmp_path / "pairs.txt"
    talks = [val / "lrs2_15499_00002.mp4", val / "lrs3_jcp5vvxtEaU_00002.mp4"]
    pairs.write_text("".join(f"{a} {b}\n" for a, b in zip(talks, talks[::-1], strict=True)))
    command = ["--profile", "small", "--pairs", str(pairs), "--seconds", "0.52", "--device", "cpu"]
    command += ["--metrics", "cpbd,flicker,seam,expert", *cache(tmp_path)]
    for table, limit in (("table3", 2), ("table4", 1)):  # six rows of table 4 take their time
        out = tmp_path / table
        args = [table, *command, "--limit", str(limit), "--out", str(out)]
        assert reproduce_tables.main(args) in (0, 1)
        report = json.loads((out / "report.json").read_bytes())
        assert len(read_pairs(out / "pairs.txt")) == report["num_pairs"] == limit
        assert not any(report["problems"].values())
        measured = [row for row in report["rows"] if row["origin"] == "measured here"]
        published = [row for row in report["rows"] if row["origin"] == "published"]
        assert len(measured) + len(report["left_out"]) == len(published)
        assert all(0 < row["values"]["cpbd"] < 1 for row in measured)
        assert all(0 < row["values"]["expert_lse_d"] < 2**0.5 for row in measured)
        if table == "table3":
            assert "L-Net" in [row["method"] for row in measured]
