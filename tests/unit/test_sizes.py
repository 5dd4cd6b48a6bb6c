"""How large a folder, a file and a function may be (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from retalking.locations import REPOSITORY

MAX_FILES = 15
MAX_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_TRAIN_LINES = 100  # the whole of what a trainer does stays visible in one place
SOURCES = ("datasets", "losses", "models", "retalking", "scripts", "tests", "third_party")


def own_files() -> Iterator[Path]:
    yield from REPOSITORY.glob("*.py")
    for folder in SOURCES:
        yield from (REPOSITORY / folder).rglob("*.py")


def place(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_no_folder_holds_too_many_files() -> None:
    counts = Counter(path.parent for path in own_files())
    assert {place(folder): n for folder, n in counts.items() if n > MAX_FILES} == {}


def test_no_file_is_too_long() -> None:
    lengths = {place(path): len(path.read_text("utf-8").splitlines()) for path in own_files()}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = {}
    for path in own_files():
        is_trainer = path.parent == REPOSITORY and path.stem.startswith("train_")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                allowed = MAX_TRAIN_LINES if is_trainer and node.name == "train" else None
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > (allowed or MAX_FUNCTION_LINES):
                    found[f"{place(path)}:{node.name}"] = length
    assert found == {}
