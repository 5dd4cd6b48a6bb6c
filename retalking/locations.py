"""Where the files of this repository are: the library runs from a checkout."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "configs"
CHECKPOINTS = REPOSITORY / "checkpoints"
LITE_WEIGHTS = CHECKPOINTS / "lite"
"""Weights of our own that come with the repository."""
MOUTH_INSIDE_PATH = LITE_WEIGHTS / "mouth_inside.safetensors"


def user_cache() -> Path:
    """Return the user's folder for caches: ``XDG_CACHE_HOME``, else ``~/.cache``.

    An empty or relative variable counts as not set, as its specification says. A user without a
    home has a folder among the temporary ones.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # no HOME, and no entry in the list of users
        user = os.getuid() if hasattr(os, "getuid") else "user"  # the latter on Windows
        return Path(tempfile.gettempdir()) / f"cache-{user}"
