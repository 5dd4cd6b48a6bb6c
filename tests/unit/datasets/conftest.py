"""A synthesised store."""

from pathlib import Path

import pytest

from tests.stores import write_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")
