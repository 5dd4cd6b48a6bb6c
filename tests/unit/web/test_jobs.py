"""Jobs in their folders, and what may be fetched of them."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from pathlib import Path

import pytest

from retalking.web.jobs import JobOptions, JobStore, NoSuchFileError

OPTIONS = JobOptions("lite", "neutral", "original", "normal", False, (1, 2, 3, 4))


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def media(tmp_path: Path) -> tuple[Path, Path]:
    face, speech = tmp_path / "a <b>.MP4", tmp_path / "s.wav"
    face.write_bytes(b"face")
    speech.write_bytes(b"speech")
    return face, speech


def test_a_job_is_found_again_as_it_was(store: JobStore, media: tuple[Path, Path]) -> None:
    job = store.create(*media, OPTIONS)
    again = JobStore(store.folder)
    assert again.load(job.id) == job
    assert again.all() == [job]
    assert again.file(job.id, "face.mp4").read_bytes() == b"face"
    assert stat.S_IMODE((store.folder / job.id).stat().st_mode) == 0o700
    assert again.secret() == store.secret()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "..",
        ".",
        "",
        "job.json",
        "/etc/passwd",
        "face.mp4/../job.json",
        "..\\secret",
        "face.mp4\0",
        "other.txt",
    ],
)
def test_nothing_else_is_fetched(store: JobStore, media: tuple[Path, Path], name: str) -> None:
    job = store.create(*media, OPTIONS)
    store.secret()
    (store.folder / job.id / "other.txt").write_text("not ours")
    with pytest.raises(NoSuchFileError):
        store.file(job.id, name)


@pytest.mark.parametrize("job_id", ["", "..", ".", "/etc", "0" * 32, "../jobs", "secret"])
def test_an_id_is_no_path(store: JobStore, job_id: str) -> None:
    with pytest.raises(NoSuchFileError):
        store.file(job_id, "face.mp4")


def test_links_are_not_followed(store: JobStore, media: tuple[Path, Path], tmp_path: Path) -> None:
    job = store.create(*media, OPTIONS)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (store.folder / job.id / "result.mp4").symlink_to(secret)
    with pytest.raises(NoSuchFileError):
        store.file(job.id, "result.mp4")
    elsewhere = tmp_path / "elsewhere"
    os.rename(store.folder / job.id, elsewhere)
    (store.folder / job.id).symlink_to(elsewhere)
    with pytest.raises(NoSuchFileError):
        store.file(job.id, "face.mp4")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"options": {}}', "not json"])
def test_a_damaged_record_is_no_job(store: JobStore, media: tuple[Path, Path], text: str) -> None:
    job = store.create(*media, OPTIONS)
    (store.folder / job.id / "job.json").write_text(text)
    assert store.all() == []


def test_a_record_names_no_other_file(store: JobStore, media: tuple[Path, Path]) -> None:
    job = store.create(*media, OPTIONS)
    record = json.loads((store.folder / job.id / "job.json").read_text())
    (store.folder / job.id / "job.json").write_text(json.dumps(record | {"face": "../secret"}))
    store.secret()
    with pytest.raises(NoSuchFileError):
        store.file(job.id, "../secret")


def test_old_jobs_go_and_foreign_files_stay(store: JobStore, media: tuple[Path, Path]) -> None:
    old, running = store.create(*media, OPTIONS), store.create(*media, OPTIONS)
    kept = store.create(*media, OPTIONS)
    store.save(dataclasses.replace(old, state="done", created_s=0.0))
    store.save(dataclasses.replace(running, state="running", created_s=0.0))
    store.save(dataclasses.replace(kept, state="done", created_s=0.0))
    (store.folder / kept.id / "mine.txt").write_text("keep")
    store.forget_older_than(60.0)
    assert [job.id for job in store.all()] == [running.id]
    assert not (store.folder / old.id).exists()
    assert [path.name for path in (store.folder / kept.id).iterdir()] == ["mine.txt"]


def test_a_strange_suffix_is_not_kept(store: JobStore, tmp_path: Path) -> None:
    page = tmp_path / "face.html"
    page.write_text("<script>alert(1)</script>")
    job = store.create(page, page, OPTIONS)
    assert (job.face, job.speech) == ("face.bin", "speech.bin")
