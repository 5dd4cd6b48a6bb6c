"""``scripts/make_venv.sh`` over every kind of broken environment, without a package registry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retalking.locations import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "make_venv.sh"
PIP_WORKS = "import sys, pip; sys.exit(sys.prefix == sys.base_prefix)"


def make_venv(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", str(SCRIPT)],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def works(venv: Path) -> bool:
    command = [venv / "bin" / "python", "-c", PIP_WORKS]
    return subprocess.run(command, check=False).returncode == 0


def bare_venv(folder: Path) -> Path:
    """A virtual environment as ``venv`` leaves it when ensurepip is missing or interrupted."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    return folder / ".venv"


def test_an_environment_that_works_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    before = sorted(Path(sys.prefix).iterdir())
    made = make_venv(tmp_path)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert (tmp_path / ".venv").is_symlink()
    assert sorted(Path(sys.prefix).iterdir()) == before


def test_a_folder_that_is_no_environment_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "notes.txt").write_text("mine")
    made = make_venv(tmp_path)
    assert made.returncode == 2
    assert ".venv is not a virtual environment; move it away" in made.stderr
    assert (tmp_path / ".venv" / "notes.txt").read_text() == "mine"


def test_what_another_process_installs_into_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "lock.sha256").write_text(f"unfinished {os.getpid()}\n")
    made = make_venv(tmp_path)
    assert made.returncode == 2
    assert f"another set-up (process {os.getpid()}) is installing into .venv" in made.stderr
    assert [path.name for path in (tmp_path / ".venv").iterdir()] == ["lock.sha256"]


def interrupted_at_once(folder: Path) -> None:
    (folder / ".venv" / "lib").mkdir(parents=True)
    (folder / ".venv" / "include").mkdir()


def python_is_gone(folder: Path) -> None:
    python = bare_venv(folder) / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.9")


def no_pip(folder: Path) -> None:
    bare_venv(folder)


def pip_is_half_there(folder: Path) -> None:
    (site,) = bare_venv(folder).glob("lib/python*/site-packages")
    (site / "pip").mkdir()
    (site / "pip" / "__init__.py").write_text("from pip.absent import nothing\n")


def packages_were_being_installed(folder: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (bare_venv(folder) / "lock.sha256").write_text(f"unfinished {gone.pid}\n")


def link_to_nowhere(folder: Path) -> None:
    (folder / ".venv").symlink_to(folder / "absent")


@pytest.mark.slow  # each makes an environment with pip, 4 s of a core
@pytest.mark.parametrize(
    "broken",
    [
        interrupted_at_once,
        python_is_gone,
        no_pip,
        pip_is_half_there,
        packages_were_being_installed,
        link_to_nowhere,
    ],
)
def test_a_broken_environment_is_repaired(broken: Callable[[Path], None], tmp_path: Path) -> None:
    broken(tmp_path)
    made = make_venv(tmp_path)
    assert made.returncode == 0, made.stderr
    assert works(tmp_path / ".venv")
    assert not (tmp_path / ".venv" / "lock.sha256").exists()
