"""Who may import whom (the table in CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = {"models", "third_party", "losses", "retalking", "datasets", "scripts"}
ROOT_SCRIPTS = {path.stem for path in REPOSITORY.glob("*.py")}
LEAVES = {"retalking.errors", "retalking.ibug68"}
ALLOWED = {
    "third_party": {"third_party", "retalking.errors"},
    "models": {"models", "third_party", "retalking.files", *LEAVES},
    "losses": {"losses", "models", "third_party", *LEAVES},
    "retalking": {"retalking", "models", "third_party"},
    "datasets": {"datasets", "retalking", "models", "third_party"},
    "scripts": OURS,
}


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_follow_the_table(package: str) -> None:
    files = sorted((REPOSITORY / package).rglob("*.py"))
    wrong = []
    for path in files:
        for name in imported_modules(path):
            top = name.split(".")[0]
            known = any(name == ok or name.startswith(f"{ok}.") for ok in ALLOWED[package])
            if top in ROOT_SCRIPTS or (top in OURS and not known):
                wrong.append(f"{path.relative_to(REPOSITORY)} imports {name}")
    assert wrong == []


def test_no_module_edits_the_import_path() -> None:
    wrong = [
        path
        for package in ALLOWED
        for path in (REPOSITORY / package).rglob("*.py")
        if "sys.path" in path.read_text(encoding="utf-8")
    ]
    assert wrong == []


def test_the_program_starts_without_what_takes_seconds_to_import() -> None:
    slow = ("torchvision", "scipy.signal", "librosa", "face_alignment")
    code = f"import sys, retalking.inference.cli; print(*set({slow}) & set(sys.modules))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
