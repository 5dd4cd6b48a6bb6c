"""Files appear complete or not at all, where they were, with the mode they had."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retalking.errors import MediaError
from retalking.files import check_writable, partial_file, remove_abandoned, replacing
from retalking.locations import REPOSITORY, user_cache

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes and links of Unix")


def write(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_text("new")


@POSIX
def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    path.chmod(0o600)
    write(path)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("sync"), sync(number)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("name"), rename(*names)))
    write(tmp_path / "out.mp4")
    assert done == ["sync", "name"]


@POSIX
def test_a_link_goes_on_pointing_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real.mp4", tmp_path / "out.mp4"
    link.symlink_to(target)  # the target need not exist
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.rglob("*.part*")] == []


@POSIX
def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    link = tmp_path / "loop.mp4"
    link.symlink_to(link)
    for use in (check_writable, write):
        with pytest.raises(MediaError, match=r"loop\.mp4: cannot be written"):
            use(link)


def test_partial_files_of_other_machines_go_after_a_day(tmp_path: Path) -> None:
    killed, running, foreign = (
        tmp_path / name
        for name in (
            ".retalking-0123456789ab.part.mp4",
            ".retalking-ba9876543210.part.mp4",
            ".part",
        )
    )
    for path in (killed, running, foreign):
        path.write_text("half")
    for path in (killed, foreign):
        os.utime(path, (time.time() - 90_000,) * 2)
    write(tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [running.name, foreign.name, "out.mp4"]
    )


@POSIX
def test_what_a_killed_program_leaves_goes_with_the_next_file(tmp_path: Path) -> None:
    code = (
        "import pathlib, time\n"
        "from retalking.files import replacing\n"
        f"with replacing(pathlib.Path({str(tmp_path / 'killed.mp4')!r})) as partial:\n"
        "    partial.write_text('half')\n"
        "    print(partial.name, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        left = tmp_path / program.stdout.readline().strip()
        os.utime(left, (time.time() - 60,) * 2)
        write(tmp_path / "out.mp4")
        assert left.exists()  # its program goes on
        program.kill()
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@POSIX
def test_a_file_that_was_just_made_is_not_abandoned(tmp_path: Path) -> None:
    with partial_file(tmp_path / "a.mp4") as partial:
        name = partial.name
    (tmp_path / name).write_text("made, not yet locked")
    remove_abandoned(tmp_path)
    assert (tmp_path / name).exists()
    os.utime(tmp_path / name, (time.time() - 60,) * 2)
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_partial_names_have_the_suffix_and_differ(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        with partial_file(tmp_path / "a.mkv") as partial:
            assert partial.exists()
            names.add(partial.name)
    assert len(names) == 3
    assert all(name.startswith(".retalking-") and name.endswith(".part.mkv") for name in names)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["", "relative/cache"])
def test_an_empty_or_relative_cache_variable_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert user_cache() == tmp_path / ".cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "given"))
    assert user_cache() == tmp_path / "given"


@POSIX
def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert user_cache().name == f"cache-{os.getuid()}"
