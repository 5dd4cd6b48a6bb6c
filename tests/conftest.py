"""Fixtures that several test folders share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.locations import REPOSITORY


@pytest.fixture(scope="session")
def small_networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of small random networks, by the options that name them."""
    from tests.small_networks import write_small_networks

    return write_small_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    import torch  # after `retalking`, which says how torch's threads wait

    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Golden numbers and manifests that are committed."""
    return REPOSITORY / "tests" / "data"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Research media beside the checkout; tests that need it are marked ``shared``."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "clips").is_dir():
        pytest.skip(f"{folder} is not here")
    return folder
