"""The container's recipe and Windows' set-up, as far as they can be checked without either."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from retalking.locations import REPOSITORY

UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")
"""Imported late, behind a question for the platform, or not at all."""


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile in order: the word, and the rest in one line."""
    text = (REPOSITORY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in whole.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, _, rest in found]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage, with those of the stages that it is built on."""
    made: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for word, rest in instructions():
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]
            current = made[name] = list(made.get(base, [("FROM", base)]))
        else:
            current.append((word, rest))
    return made


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the image; the last rule that fits decides."""
    out = False
    for rule in (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines():
        keep, pattern = rule.startswith("!"), rule.lstrip("!").removeprefix("**/")
        parts = [path, *map(str, Path(path).parents), *Path(path).parts]
        if pattern and not rule.startswith("#") and any(fnmatch(part, pattern) for part in parts):
            out = not keep
    return out


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_the_image_runs_our_program_without_rights(name: str) -> None:
    stage = stages()[name]
    assert [rest for word, rest in stage if word == "USER"] == ["retalking"]
    assert stage[-1][0] == "USER"
    assert json.loads(dict(stage)["ENTRYPOINT"]) == ["retalking"]
    assert 'retalking = "scripts.__main__:command"' in (REPOSITORY / "pyproject.toml").read_text()
    assert re.fullmatch(r"python:\$\{PYTHON\}-slim", stage[0][1])
    assert next(rest for word, rest in instructions() if word == "ARG") == "PYTHON=3.12"
    assert any("--from=" + name + "-packages" in rest for word, rest in stage if word == "COPY")


def test_plain_build_makes_the_small_image() -> None:
    assert list(stages())[-1] == "cpu"


def test_what_the_recipe_names_is_there_and_not_ignored() -> None:
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (REPOSITORY / source).exists()
                assert source == "." or not ignored(source)
    needed = ["inference.py", "checkpoints/lite/lips.safetensors", "checkpoints/weights.toml"]
    needed += ["configs/inference/lite.yaml", "assets/sample/talk.mp4", "scripts/__main__.py"]
    assert not any(map(ignored, needed))
    unwanted = [".git/config", ".venv/bin/python", "checkpoints/DNet.pt", "tests/media.py"]
    assert all(map(ignored, unwanted))


def test_its_shell_lines_are_valid() -> None:
    for word, rest in instructions():
        if word == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)
    lock = (REPOSITORY / "requirements.lock").read_text("utf-8")
    assert len(re.findall(r"^(?:torch|torchvision)==", lock, re.MULTILINE)) == 2  # what it greps


def test_both_set_ups_install_the_same() -> None:
    windows = (REPOSITORY / "scripts" / "setup.ps1").read_text("utf-8")
    unix = (REPOSITORY / "scripts" / "setup.sh").read_text("utf-8")
    for name in ("requirements.lock", "requirements-no-deps.lock", "pyproject.toml", "--editable"):
        assert name in windows
        assert name in unix
    assert windows.count("{") == windows.count("}")
    assert windows.count("(") == windows.count(")")
    assert windows.isascii()  # Windows PowerShell 5 reads files without a mark as ANSI


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="no PowerShell here")
def test_powershell_can_read_its_set_up() -> None:
    path = REPOSITORY / "scripts" / "setup.ps1"
    check = f"[scriptblock]::Create((Get-Content -Raw '{path}')) | Out-Null"
    subprocess.run(["pwsh", "-NoProfile", "-Command", check], check=True)


def test_the_library_imports_nothing_that_only_unix_has() -> None:
    wrong = []
    for path in (REPOSITORY / "retalking").rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:  # at the top: whatever happens
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                wrong += [f"{path.name}: {name}" for name in names if name in UNIX_ONLY]
    assert wrong == []
