"""Who may import whom: the table in CONTRIBUTING.md, checked against the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from retalking.locations import REPOSITORY

LIBRARIES = ("datasets", "losses", "models", "retalking", "scripts", "third_party")
ENTRY_POINTS = {path.stem for path in REPOSITORY.glob("*.py")}
LEAVES = {"retalking.errors", "retalking.files", "retalking.ibug68"}
"""Single files with a row of their own."""
Graph = dict[str, set[str]]


@cache
def table() -> Graph:
    """Read the rows of the table: the packages that each package may import."""
    allowed: Graph = {}
    for package, imports_of, is_list in rows():
        allowed[package] = imports_of if is_list else set(allowed) - imports_of
    return allowed


def rows() -> Iterator[tuple[str, set[str], bool]]:
    """Yield a package, those it names, and whether it may import these, or all above but these."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    lines = text.split("| package | holds | may import |\n")[1].split("\n\n")[0].splitlines()[1:]
    for line in lines:
        package, _, cell = line.strip("|").split("|")
        names = set(re.findall(r"`([\w.]+)`", cell))
        yield package.strip(" `"), names, not cell.strip().startswith("all above")


def package_of(module: str) -> str:
    """Return the row of the table that a module belongs to."""
    top, *rest = module.split(".")
    if top in ENTRY_POINTS:
        return "entry points"  # in no row: nothing imports them
    if top != "retalking" or not rest:
        return top
    name = f"retalking.{rest[0]}"
    is_folder = (REPOSITORY / "retalking" / rest[0]).is_dir()
    return name if is_folder or name in LEAVES else "retalking"


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports() -> dict[tuple[str, str], list[str]]:
    """Find who imports whom: (package, package) -> where."""
    found: dict[tuple[str, str], list[str]] = {}
    for top in LIBRARIES:
        for path in sorted((REPOSITORY / top).rglob("*.py")):
            if path == REPOSITORY / "retalking" / "__init__.py":
                continue  # names the library's public class, lazily
            place = path.relative_to(REPOSITORY)
            importer = package_of(".".join(place.with_suffix("").parts))
            for module in imported_modules(path):
                if module.split(".")[0] in {*LIBRARIES, *ENTRY_POINTS}:
                    imported = package_of(module)
                    if imported != importer:
                        found.setdefault((importer, imported), []).append(f"{place}: {module}")
    return found


def test_every_package_has_a_row_and_every_row_a_package() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "retalking").glob("*/__init__.py")}
    assert set(table()) == {f"retalking.{name}" for name in folders} | LEAVES | set(LIBRARIES)


def test_imports_follow_the_table() -> None:
    wrong = {
        f"{importer} -> {imported}": where
        for (importer, imported), where in imports().items()
        if imported not in table()[importer]
    }
    assert wrong == {}


def test_the_table_allows_nothing_that_is_not_needed() -> None:
    listed = {
        (importer, imported) for importer, row, is_list in rows() for imported in row if is_list
    }
    assert listed - set(imports()) == set()


def test_packages_import_each_other_in_no_circle() -> None:
    graph = {name: set(row) for name, row in table().items()}
    while leaves := {name for name, row in graph.items() if not row & set(graph)}:
        graph = {name: row for name, row in graph.items() if name not in leaves}
    assert graph == {}, "these packages import each other, or import such a circle"


def test_no_module_edits_the_import_path() -> None:
    wrong = [
        path
        for package in LIBRARIES
        for path in (REPOSITORY / package).rglob("*.py")
        if "sys.path" in path.read_text("utf-8")
    ]
    assert wrong == []


def test_what_is_installed_needs_no_system_library_and_can_read_media() -> None:
    locked = (REPOSITORY / "requirements.lock").read_text("utf-8").splitlines()
    names = {re.split(r"[=;< >]", line)[0] for line in locked if not line.startswith("#")}
    assert "opencv-python-headless" in names
    assert "opencv-python" not in names  # needs libGL, glib and xcb
    videos = [int(version) for version in re.findall(r"^av==(\d+)", "\n".join(locked), re.M)]
    assert videos
    assert min(videos) >= 17  # 16 and older lack what we use


def test_the_program_starts_without_what_takes_seconds_to_import() -> None:
    slow = ("torchvision", "scipy", "librosa", "face_alignment", "onnxruntime", "openvino")
    code = f"import sys, retalking.inference.cli; print(*set({slow}) & set(sys.modules))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
