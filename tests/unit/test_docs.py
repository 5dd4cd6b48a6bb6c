"""What the documentation points at is there: links, `path` and `file:function`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from retalking.files import read_hashes, sha256_of
from retalking.locations import LITE_WEIGHTS, REPOSITORY

PAGES = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").glob("*.md"),
    *(REPOSITORY / "checkpoints").rglob("*.md"),
    *(REPOSITORY / "assets").rglob("*.md"),
]
FOLDERS = {path.name for path in REPOSITORY.iterdir() if path.is_dir()}
MADE_BY_USERS = {"runs", "demo"}
PATH = re.compile(
    r"""
    (?<![\w./-])
    ( (?: [\w.-]+/ )* [\w.-]+ \. (?:py|sh|yaml|toml|jpg|md)  # a file
    | (?: [\w.-]+/ )+ )                                      # or a folder
    (?: : ([A-Za-z_][\w.]*) )?                               # and a name in it
    (?! [\w/] )
    """,
    re.VERBOSE,
)
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
MODULE = re.compile(r"python -m (scripts\.[\w.]+)")


def named_places(page: Path) -> list[tuple[str, str]]:
    """List (path, name in it or nothing) of what a page's code spans and blocks name of ours."""
    places = [
        place for code in CODE.findall(page.read_text("utf-8")) for place in PATH.findall(code)
    ]
    return [
        (path, name)
        for path, name in places
        if path.split("/")[0] in FOLDERS - MADE_BY_USERS or ("/" not in path and name)
    ]


def definitions(path: Path) -> set[str]:
    """Name what a module defines: functions, classes, constants, and members as ``Class.name``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        names |= defined_by(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for item in node.body for name in defined_by(item)}
    return names


def defined_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_and_function_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for path, name in named_places(page):
        found = REPOSITORY / path
        if not found.exists():
            missing.append(path)
        elif name and name not in definitions(found):
            missing.append(f"{path}:{name}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_and_command_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    for module in MODULE.findall(text):
        if not (REPOSITORY / (module.replace(".", "/") + ".py")).exists():
            missing.append(module)
    assert missing == []


def test_the_list_of_hashes_is_that_of_the_shipped_weights() -> None:
    """Without it no network loads: ``sha256sum *.safetensors > SHA256SUMS`` in that folder."""
    here = {path.name: sha256_of(path) for path in LITE_WEIGHTS.glob("*.safetensors")}
    assert read_hashes(LITE_WEIGHTS) == here
    assert len(here) >= 9


def test_the_pages_name_many_places() -> None:
    """A pattern that finds nothing would pass everything."""
    assert len(named_places(REPOSITORY / "docs" / "architecture.md")) > 30
    assert len(named_places(REPOSITORY / "README.md")) > 10


SOURCES = [
    path
    for pattern in ("*.py", "*.yaml", "*.sh", "*.toml", "*.txt")
    for folder in (
        ".",
        "retalking",
        "datasets",
        "models",
        "losses",
        "scripts",
        "configs",
        "third_party",
    )
    for path in (REPOSITORY / folder).glob(pattern if folder == "." else f"**/{pattern}")
]
SOURCE_PATH = re.compile(
    r"(?<![\w./-])((?:retalking|datasets|models|losses|scripts|docs|configs|tests|third_party)"
    r"/[\w/.-]+\.(?:py|md|sh|yaml|toml|txt))"
)
DOTTED = re.compile(r"``((?:retalking|datasets|models|losses|scripts|third_party)(?:\.\w+)+)``")


def is_known(dotted: str) -> bool:
    """Whether a module, or a module and a name in it, is ours."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        place = REPOSITORY.joinpath(*parts[:count])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file.is_file():
            rest = ".".join(parts[count:])
            return not rest or re.search(rf"\b{rest}\b", file.read_text("utf-8")) is not None
    return False


def test_what_the_sources_name_of_each_other_exists() -> None:
    missing = []
    for source in SOURCES:
        text = source.read_text("utf-8")
        for path in SOURCE_PATH.findall(text):
            if "PROFILE" not in path and not (REPOSITORY / path).exists():
                missing.append(f"{name_of(source)}: {path}")
        missing += [
            f"{name_of(source)}: {name}" for name in DOTTED.findall(text) if not is_known(name)
        ]
    assert missing == []
