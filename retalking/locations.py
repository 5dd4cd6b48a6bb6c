"""Where the files of this repository are: the library runs from a checkout."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "configs"
CHECKPOINTS = REPOSITORY / "checkpoints"
LITE_WEIGHTS = CHECKPOINTS / "lite"
"""Weights of our own that come with the repository."""
