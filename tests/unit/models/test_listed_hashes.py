"""Shipped weights are what they were, and one's own are not looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models import weights
from retalking.coefficients.basis import EXPRESSION_BASIS_PATH, ExpressionBasis
from retalking.errors import WeightsError
from retalking.files import LIST_OF_HASHES, read_hashes, sha256_of
from tests.unit.models.tiny_net import CONFIG, TinyNet


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A network in a folder that says what is in it."""
    path = tmp_path / "a.safetensors"
    weights.save(path, TinyNet(CONFIG))
    (tmp_path / LIST_OF_HASHES).write_text(f"{sha256_of(path)}  a.safetensors\n{'0' * 64} *b.x\n")
    return path


def test_an_altered_weight_is_noticed(listed: Path) -> None:
    weights.load(listed, TinyNet)
    data = bytearray(listed.read_bytes())
    data[-1] ^= 1  # one bit of one number
    listed.write_bytes(data)
    with pytest.raises(WeightsError, match=r"a.safetensors: altered or damaged: .* SHA256SUMS"):
        weights.load(listed, TinyNet)


def test_files_that_are_not_listed_are_ones_own(listed: Path) -> None:
    own = listed.with_name("own.safetensors")
    weights.save(own, TinyNet(CONFIG))
    weights.load(own, TinyNet)
    assert set(read_hashes(listed.parent)) == {"a.safetensors", "b.x"}


def test_saving_keeps_the_list_true(listed: Path) -> None:
    before = sha256_of(listed)
    weights.save(listed, TinyNet(CONFIG), {"note": "trained longer"})
    assert read_hashes(listed.parent) == {"a.safetensors": sha256_of(listed), "b.x": "0" * 64}
    assert sha256_of(listed) != before
    weights.load(listed, TinyNet)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"nonsense\n\n"])
def test_an_odd_list_lists_nothing(listed: Path, content: bytes) -> None:
    listed.with_name(LIST_OF_HASHES).write_bytes(content)
    weights.load(listed, TinyNet)


def test_the_expression_basis_is_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / EXPRESSION_BASIS_PATH.name
    shutil.copy(EXPRESSION_BASIS_PATH, path)
    shutil.copy(EXPRESSION_BASIS_PATH.with_name(LIST_OF_HASHES), tmp_path)
    ExpressionBasis.from_file(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="altered or damaged"):
        ExpressionBasis.from_file(path)
