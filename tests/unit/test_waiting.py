"""Threads of torch wait without spinning, unless the user says otherwise."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retalking.locations import REPOSITORY

OTHER_ENVIRONMENT = REPOSITORY / "scripts" / "judge"
"""Its scripts run where neither this package nor torch is installed."""


def entry_points() -> list[Path]:
    files = [*REPOSITORY.glob("*.py"), *(REPOSITORY / "scripts").rglob("*.py")]
    return [path for path in files if "__main__" in path.read_text(encoding="utf-8")]


def first_import_from_outside_the_standard_library(path: Path) -> str:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            name = node.names[0].name if isinstance(node, ast.Import) else node.module or ""
            if name.split(".")[0] not in {*sys.stdlib_module_names, "__future__"}:
                return name
    return ""


def test_entry_points_import_us_before_torch() -> None:
    wrong = [
        path
        for path in entry_points()
        if OTHER_ENVIRONMENT not in path.parents
        and first_import_from_outside_the_standard_library(path) != "retalking.script"
    ]
    assert wrong == []


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP runtime on Linux")
@pytest.mark.parametrize(("chosen", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_openmp_runtime_of_torch_waits_passively(chosen: str | None, used: str) -> None:
    environment = {key: text for key, text in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE"}  # the runtime prints its settings when loaded
    if chosen:
        environment["OMP_WAIT_POLICY"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", "import retalking, torch"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"OMP_WAIT_POLICY = '{used}'" in done.stderr
