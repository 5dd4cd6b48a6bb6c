"""Lists of jobs, and the record of what came of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from retalking.batch.jobs import BatchJob, match_jobs, read_jobs
from retalking.batch.record import BatchRecord
from retalking.batch.work import Outcome
from retalking.errors import ConfigError
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_profile


def configure(settings: list[str]) -> InferenceConfig:
    return load_profile("lite", {}, ["crf=20", *settings])


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


ROWS = (
    ("face", "audio", "outfile", "crf", "pads"),
    ("a.mp4", "b.wav", "c.mp4", "", ""),
    ("d e.mp4", "b.wav", "f.mkv", "0", "[1, 2, 3, 4]"),
)
YAML = """
- {face: a.mp4, audio: b.wav, outfile: c.mp4}
- {face: d e.mp4, audio: b.wav, outfile: f.mkv, crf: 0, pads: [1, 2, 3, 4]}
"""


@pytest.mark.parametrize("name", ["comma.csv", "semicolon.csv", "tab.tsv", "list.yaml"])
def test_tables_and_yaml_say_the_same(tmp_path: Path, name: str) -> None:
    delimiter = {"comma": ",", "semicolon": ";", "tab": "\t"}.get(Path(name).stem)
    text = YAML
    if delimiter:  # spreadsheets put a byte order mark first
        quoted = [[f'"{cell}"' if "," in cell else cell for cell in row] for row in ROWS]
        text = "\ufeff" + "\n".join(delimiter.join(row) for row in quoted)
    path = write(tmp_path / name, text)
    first, second = read_jobs(path, configure)
    assert (first.face, first.audio) == (tmp_path / "a.mp4", tmp_path / "b.wav")
    assert first.outfile == tmp_path / "c.mp4"
    assert (first.config.crf, second.config.crf) == (20, 0)  # an empty cell leaves it
    assert second.face == tmp_path / "d e.mp4"
    assert second.config.pads == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "face,audio,outfile\n", "no job"),
        ("a.csv", "face,audio,outfile\na,b\n", "a.csv:2: expected 3 cells"),
        ("a.csv", "face,audio\na,b\n", "a.csv:2: outfile is missing"),
        ("a.csv", "face,audio,outfile,crv\na,b,c,1\n", r"a.csv:2: .*crv.*closest: crf"),
        ("a.csv", "face,audio,outfile,crf\na,b,c,x\n", r"a.csv:2: .*crf.*got 'x'"),
        ("a.csv", "face,audio,outfile\na,b,c\nd,e,./c\n", "two jobs write"),
        ("a.yaml", "face: a\n", "expected a list of jobs"),
        ("a.yaml", "- {face: [\n", "not valid YAML"),
        ("a.yaml", "- {face: a, audio: b}\n", "job 1: outfile is missing"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_in_one_line(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        read_jobs(write(tmp_path / name, text), configure)
    assert "\n" not in str(caught.value)


def test_a_pattern_or_a_folder_names_the_other_files(tmp_path: Path) -> None:
    folder = tmp_path / "clips [1]"
    folder.mkdir()
    for name in ("b.mp4", "a.x.mp4"):
        write(folder / name, "")
    for pattern in (str(folder), str(tmp_path / "clips*" / "*.mp4")):
        jobs = match_jobs(pattern, "speech/{name}.wav", str(tmp_path / "{name}.mkv"), configure)
        assert [job.outfile.name for job in jobs] == ["a.x.mkv", "b.mkv"]
        assert jobs[1].audio == Path("speech/b.wav")
    with pytest.raises(ConfigError, match="two jobs write"):
        match_jobs(str(folder), "a.wav", "same.mp4", configure)
    with pytest.raises(ConfigError, match="no job"):
        match_jobs(str(tmp_path / "*.mov"), "a.wav", "{name}.mp4", configure)


@pytest.fixture
def job(tmp_path: Path) -> BatchJob:
    face, audio = write(tmp_path / "a.mp4", "face"), write(tmp_path / "a.wav", "audio")
    return BatchJob(face, audio, tmp_path / "out.mp4", configure([]))


def test_a_record_knows_a_job_until_anything_about_it_changes(
    tmp_path: Path, job: BatchJob
) -> None:
    path = tmp_path / "record.jsonl"
    record = BatchRecord(path)
    assert record.find(job) is None
    record.add(job, Outcome("no face"))
    again = BatchRecord(path).find(job)
    assert again is not None
    assert (again.state, again.fault) == ("failed", "no face")

    BatchRecord(path).add(job, Outcome(num_frames=7))
    assert BatchRecord(path).find(job) is None  # the result is not there
    write(job.outfile, "video")
    done = BatchRecord(path).find(job)
    assert done is not None
    assert (done.state, done.num_frames) == ("done", 7)

    reported = dataclasses.replace(job, report=tmp_path / "out.html")
    assert BatchRecord(path).find(reported) is None  # the report is not there
    write(reported.report, "page")
    assert BatchRecord(path).find(reported) is not None

    other = BatchJob(job.face, job.audio, job.outfile, configure(["crf=1"]))
    assert BatchRecord(path).find(other) is None
    write(job.audio, "another speech")
    assert BatchRecord(path).find(job) is None


def test_a_line_that_was_cut_is_written_over(tmp_path: Path, job: BatchJob) -> None:
    path = tmp_path / "record.jsonl"
    BatchRecord(path).add(job, Outcome("no face"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    record = BatchRecord(path)
    assert record.find(job) is not None
    record.add(job, Outcome("no sound"))
    assert [line[:11] for line in path.read_text().splitlines()] == ['{"outfile":'] * 2
    path.write_text("something else\n")
    with pytest.raises(ConfigError, match="not a record"):
        BatchRecord(path)
