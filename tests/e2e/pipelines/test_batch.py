"""Batches with real workers: shared parts equal one run, and a killed worker loses nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retalking.batch.crew import Crew, LocalCrew
from retalking.batch.jobs import BatchJob
from retalking.batch.schedule import Schedule
from retalking.batch.work import Outcome, Task, Worker
from retalking.inference.profiles import load_profile
from retalking.locations import REPOSITORY
from retalking.networks.load import Parts
from scripts.batch import build_parser, main, read
from tests import media
from tests.e2e.conftest import portrait_frames
from tests.e2e.jobs import read_frames

SAMPLE = REPOSITORY / "assets" / "sample"


def job(folder: Path, name: str, profile: str = "lite", **options: object) -> BatchJob:
    settings = {
        "codec": "ffv1",
        "tmp_dir": str(folder / "cache"),
        "max_seconds": 0.6,
        "device": "cpu",
        **options,
    }
    config = load_profile(profile, settings)
    return BatchJob(SAMPLE / "talk.mp4", SAMPLE / "speech.wav", folder / f"{name}.mkv", config)


def share(worker: Worker, whole: BatchJob, part_s: float) -> tuple[tuple[int, int], ...]:
    """Do a job as several workers would, one after another."""
    first = worker.do(Task(0, whole, part_s=part_s))
    assert first.fault == ""
    for part in reversed(first.parts):
        assert worker.do(Task(0, whole, parts=first.parts, only=part)).fault == ""
    kept = len(list((whole.outfile.parent / "cache" / "jobs").glob("*/*.arrays")))
    assert kept >= len(first.parts)  # there is something to put together
    assert worker.do(Task(0, whole, parts=first.parts)).fault == ""
    assert not list((whole.outfile.parent / "cache" / "jobs").iterdir())
    return first.parts


def test_shared_parts_equal_one_run(tmp_path: Path) -> None:
    worker = Worker()
    one, many = job(tmp_path, "one"), job(tmp_path, "many")
    assert worker.do(Task(0, one)).fault == ""
    assert len(share(worker, many, 0.25)) >= 3
    assert np.array_equal(read_frames(one.outfile), read_frames(many.outfile))


def test_what_is_smoothed_over_time_is_not_cut_by_parts(
    tmp_path: Path, still_parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With networks, the place of the reference is smoothed over nine frames."""
    monkeypatch.setattr("retalking.inference.pipeline.load_parts", lambda _: still_parts)
    path = tmp_path / "talk.mkv"
    media.write_video(
        path, pictures=portrait_frames(15), width=256, height=208, codec="ffv1", pixel_format="bgr0"
    )
    options = {"reference_source": "current", "chunk_size": 3}
    jobs = [job(tmp_path, name, "small", **options) for name in ("one", "many")]
    one, many = (BatchJob(path, made.audio, made.outfile, made.config) for made in jobs)
    worker = Worker()
    assert worker.do(Task(0, one)).fault == ""
    assert len(share(worker, many, 0.2)) >= 3
    assert np.array_equal(read_frames(one.outfile), read_frames(many.outfile))


def test_a_list_is_done_once_and_failures_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{SAMPLE / 'talk.mp4'},{SAMPLE / 'speech.wav'},out/a.mkv",
        f"{SAMPLE / 'talk.mp4'},{tmp_path / 'gone.wav'},out/b.mkv",
    ]
    path = tmp_path / "jobs.csv"
    path.write_text("\n".join(["face,audio,outfile", *rows]), encoding="utf-8")
    cache = f"tmp_dir={tmp_path / 'cache'}"
    command = [str(path), "--profile", "lite", "--set", "max_seconds=0.2", "--set", cache]
    command += ["--report", "json"]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert f"{tmp_path / 'gone.wav'}: no such file" in out
    assert "2 jobs: 1 done, 1 failed" in out
    written = (tmp_path / "out" / "a.mkv").stat().st_mtime_ns
    assert json.loads((tmp_path / "out" / "a.report.json").read_text("utf-8"))
    assert re.search(r"a\.mkv +done +5 +[\d.]+  (look at|nothing stands out)", out)
    assert main(command) == 1  # at once: no worker is started
    assert "(2 of them earlier)" in capsys.readouterr().out
    assert (tmp_path / "out" / "a.mkv").stat().st_mtime_ns == written
    (tmp_path / "gone.wav").write_bytes((SAMPLE / "speech.wav").read_bytes())
    assert main([*command, "--retry"]) == 0
    assert (tmp_path / "out" / "a.mkv").stat().st_mtime_ns == written
    assert len(read_frames(tmp_path / "out" / "b.mkv")) == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gone.csv"], "gone.csv: cannot be read"),
        (["*.mp4"], "needs --audio and --outfile"),
        (["a.csv", "--audio", "b.wav"], "leave --audio"),
        (["a.csv", "--workers", "0"], "--workers: got 0"),
        (["a.csv", "--split-minutes", "-1"], "--split-minutes: got -1"),
    ],
)
def test_bad_input_is_one_line_and_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--profile", "lite"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_job_may_name_its_own_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("face,audio,outfile,profile\na.mp4,b.wav,c.mp4,\na.mp4,b.wav,d.mp4,fast\n")
    assert main([str(path), "--profile", "lite"]) == 2
    assert f"{path}:3: --profile: got fast, expected" in capsys.readouterr().err
    path.write_text("face,audio,outfile,profile\na.mp4,b.wav,c.mp4,small\n")
    options = build_parser().parse_args([str(path), "--profile", "lite"])
    ((found,), _) = read(options)
    assert found.config.mouth == "networks"


def finish_all(crew: Crew, jobs: list[BatchJob], kill: Callable[[], None]) -> dict[int, Outcome]:
    """Do jobs with a crew of which one worker is killed while both are at work."""
    told: dict[int, Outcome] = {}

    class Struck:
        """The crew, and what happens to it."""

        def __init__(self) -> None:
            self.size = crew.size
            self.given = self.lost = 0

        def give(self, worker: int, task: Task) -> None:
            crew.give(worker, task)
            self.given += 1
            if self.given == 2:
                kill()

        def wait(self) -> tuple[int, Outcome | None]:
            worker, outcome = crew.wait()
            self.lost += outcome is None
            return worker, outcome

        def close(self) -> None:
            crew.close()

    struck = Struck()
    schedule = Schedule(lambda number, outcome: told.update({number: outcome}))
    schedule.add(list(enumerate(jobs)), None)
    try:
        schedule.run(struck)
    finally:
        struck.close()
    assert struck.lost == 1
    return told


def differing(folder: Path, count: int) -> list[BatchJob]:
    """Jobs that do not share a first pass."""
    return [job(folder, str(number), max_seconds=0.3 + number / 25) for number in range(count)]


@pytest.mark.slow
def test_workers_compute_as_a_single_job_does(tmp_path: Path) -> None:
    """With as many threads: torch's sums differ from one number of them to another."""
    whole, crew = job(tmp_path, "crew"), LocalCrew(2)
    told: dict[int, Outcome] = {}
    schedule = Schedule(lambda number, outcome: told.update({number: outcome}))
    schedule.add([(0, whole)], None)
    with contextlib.closing(crew):
        schedule.run(crew)
    assert told[0].fault == ""
    alone = job(tmp_path, "alone", re_preprocess=True)
    assert Worker().do(Task(0, alone)).fault == ""
    assert np.array_equal(read_frames(whole.outfile), read_frames(alone.outfile))


@pytest.mark.slow
def test_a_killed_process_loses_no_job(tmp_path: Path) -> None:
    jobs, crew = differing(tmp_path, 4), LocalCrew(2)
    told = finish_all(crew, jobs, lambda: os.kill(crew.process_ids[1], signal.SIGKILL))
    assert [told[number].fault for number in range(4)] == [""] * 4
    assert [len(read_frames(made.outfile)) for made in jobs] == [8, 9, 10, 11]


@pytest.mark.slow
def test_a_killed_worker_of_a_ray_cluster_loses_no_job(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="requirements-ray.txt is not installed")
    from retalking.batch.ray_crew import RayCrew

    jobs, crew = differing(tmp_path, 4), RayCrew(2)
    victim: Any = crew.process_id(1)
    told = finish_all(crew, jobs, lambda: os.kill(victim, signal.SIGKILL))
    assert [told[number].fault for number in range(4)] == [""] * 4
    assert [len(read_frames(made.outfile)) for made in jobs] == [8, 9, 10, 11]
