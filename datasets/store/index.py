"""The index of a store: one record per clip, built from the clips' files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.store.format import (
    INDEX_DTYPE,
    MAX_NAME_BYTES,
    TRACKS,
    part_path,
    read_store_info,
)
from datasets.store.reader import StoredClip
from retalking.errors import ConfigError
from retalking.files import replacing


def build_index(folder: Path, clips: Sequence[str]) -> None:
    """Write ``index.npy`` for the named clips, sorted by name so that their order is fixed.

    Raises:
        ConfigError: two clips have one name.
        MediaError: a clip is damaged, or the index cannot be written.
    """
    check_names(clips)
    parts = read_store_info(folder).parts
    index = np.zeros(len(clips), INDEX_DTYPE)
    for row, name in enumerate(sorted(clips)):
        clip = StoredClip(folder, name)
        notes = clip.notes()
        opening = clip.array(TRACKS, "opening")
        present = [part_path(folder, part, name).is_file() for part in parts]
        index[row] = (
            name.encode(),
            notes["identity"].encode()[:MAX_NAME_BYTES],
            notes["split"].encode(),
            len(opening),
            "mel" in clip.array_names(TRACKS),
            float(notes["lip_native_px"]),
            float(notes["stabiliser_native_px"]),
            opening.mean(),
            opening.std(),
            sum(1 << bit for bit, there in enumerate(present) if there),
        )
    with replacing(folder / "index.npy") as partial:
        np.save(partial, index)


def check_names(clips: Sequence[str]) -> None:
    """Refuse names that the index cannot hold.

    Raises:
        ConfigError: a name is too long or given twice.
    """
    seen: set[str] = set()
    for name in clips:
        if len(name.encode()) > MAX_NAME_BYTES:
            raise ConfigError(
                f"clip {name!r}: the name has {len(name.encode())} bytes, expected at most "
                f"{MAX_NAME_BYTES}"
            )
        if name in seen:
            raise ConfigError(f"clip {name!r}: two clips have this name; rename one")
        seen.add(name)


def refresh_index(folder: Path) -> None:
    """Build the index again after parts were added to a store.

    Raises:
        MediaError: a clip is damaged, or the index cannot be written.
    """
    names = np.load(folder / "index.npy")["clip"]
    build_index(folder, [name.decode() for name in names])
