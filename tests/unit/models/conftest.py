"""A network to write into files."""

from __future__ import annotations

import pytest

from tests.unit.models.tiny_net import TinyConfig, TinyNet


@pytest.fixture
def network() -> TinyNet:
    return TinyNet(TinyConfig())
