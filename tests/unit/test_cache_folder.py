"""The cache forgets what is old or too much, and nothing that is not its own."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.cache_folder import entry_path, forget_job, job_folder, make_private, tidy

DAY_S = 24 * 3600.0
NO_LIMIT = 10**12


def key(letter: str) -> str:
    return letter * 32


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * DAY_S
    if path.is_dir():
        for file in path.iterdir():
            os.utime(file, (then, then))
    os.utime(path, (then, then))
    return path


def make_job(cache: Path, letter: str, days: float = 0.0, num_bytes: int = 100) -> Path:
    folder = job_folder(cache, key(letter))
    folder.mkdir(parents=True)
    (folder / "00000016.arrays").write_bytes(bytes(num_bytes))
    return aged(folder, days)


def make_entry(cache: Path, letter: str, days: float = 0.0, num_bytes: int = 100) -> Path:
    path = entry_path(cache, key(letter))
    path.write_bytes(bytes(num_bytes))
    return aged(path, days)


def test_jobs_of_last_week_are_forgotten(tmp_path: Path) -> None:
    old, young = make_job(tmp_path, "a", 8), make_job(tmp_path, "b", 1)
    mine = make_job(tmp_path, "c", 9)
    entry = make_entry(tmp_path, "d", 30)
    tidy(tmp_path, NO_LIMIT, keep=key("c"))
    assert not old.exists()
    assert young.exists()
    assert mine.exists()
    assert entry.exists()


@pytest.mark.parametrize(
    "strange",
    [
        "jobs/2026-tax/report.pdf",
        f"jobs/{'a' * 32}/00000016.arrays/x",
        f"jobs/{'a' * 32}/photo.jpg",
        f"jobs/{'a' * 32}/.hidden",
        f"jobs/{'A' * 32}/00000016.arrays",
        f"jobs/{'a' * 31}/00000016.arrays",
        f"jobs/{'a' * 32}.backup/00000016.arrays",
        "holiday.npz",
        f"{'a' * 32}.mp4",
    ],
)
def test_whatever_is_not_ours_stays(tmp_path: Path, strange: str) -> None:
    path = tmp_path / strange
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(1000))
    beside = path.parent / "00000000.arrays"
    beside.write_bytes(b"ours, perhaps")
    aged(path, 100)
    aged(path.parent, 100)
    tidy(tmp_path, 0)
    forget_job(path.parent)
    assert path.exists()
    assert beside.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    make_job(outside, "a", 30)
    cache = tmp_path / "cache"
    (cache / "jobs").mkdir(parents=True)
    (cache / "jobs" / key("a")).symlink_to(job_folder(outside, key("a")))
    folder = cache / "jobs" / key("b")
    folder.mkdir()
    (folder / "00000000.arrays").symlink_to(outside / "jobs" / key("a") / "00000016.arrays")
    aged(folder, 30)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "jobs").symlink_to(outside / "jobs")
    for place in (cache, linked):
        tidy(place, 0)
    assert (outside / "jobs" / key("a") / "00000016.arrays").exists()
    assert folder.exists()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    make_private(tmp_path / "jobs")
    oldest, entry = make_job(tmp_path, "a", 3, 500), make_entry(tmp_path, "b", 2, 500)
    job, newest = make_job(tmp_path, "c", 1, 500), make_entry(tmp_path, "d", 0, 500)
    earlier = tmp_path / f"{key('e')}.npz"  # of a version that named them so
    earlier.write_bytes(bytes(500))
    aged(earlier, 2.5)
    tidy(tmp_path, 1000)
    assert not oldest.exists()
    assert not earlier.exists()
    assert not entry.exists()
    assert job.exists()
    assert newest.exists()
    tidy(tmp_path, 0, keep=key("c"))
    assert job.exists()
    assert not newest.exists()


def test_partial_files_of_killed_jobs_go_after_a_day(tmp_path: Path) -> None:
    dead, alive = (tmp_path / f".retalking-{n * 12}.part.arrays" for n in "ab")
    other = tmp_path / ".retalking-video.part.mp4"
    for path in (dead, alive, other):
        path.write_bytes(bytes(10))
    aged(dead, 2)
    aged(other, 2)
    tidy(tmp_path, 0)
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()


def test_everything_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = tmp_path / "new" / "cache" / "jobs" / key("a")
        make_private(folder)
        write_arrays(folder / "00000000.arrays", {"a": np.arange(3)})
    finally:
        os.umask(before)
    for path in (folder, folder.parent, folder.parents[2]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "00000000.arrays").stat().st_mode) == 0o600
    np.testing.assert_array_equal(read_arrays(folder / "00000000.arrays")["a"], np.arange(3))


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    make_private(tmp_path / "shared")
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o755


def test_a_folder_that_is_absent_or_a_file_is_no_matter(tmp_path: Path) -> None:
    tidy(tmp_path / "absent", 0)
    (tmp_path / "file").write_text("x")
    tidy(tmp_path / "file", 0)
    forget_job(tmp_path / "absent")
    assert (tmp_path / "file").read_text() == "x"
