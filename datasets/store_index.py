"""The index of a store: one record per clip, built from the clips' files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.store import StoredClip
from datasets.store_format import (
    INDEX_DTYPE,
    MAX_NAME_BYTES,
    TRACKS,
    part_path,
    read_store_info,
)
from retalking.atomic import replacing
from retalking.errors import ConfigError


def build_index(folder: Path, clips: Sequence[str]) -> None:
    """Write ``index.npy`` for the named clips, sorted by name so that their order is fixed.

    Raises:
        MediaError: a clip is damaged, or the index cannot be written.
    """
    parts = read_store_info(folder).parts
    index = np.zeros(len(clips), INDEX_DTYPE)
    for row, name in enumerate(sorted(clips)):
        clip = StoredClip(folder, name)
        notes = clip.notes()
        opening = clip.array(TRACKS, "opening")
        present = [part_path(folder, part, name).is_file() for part in parts]
        index[row] = (
            _encode(name),
            _encode(notes["identity"]),
            _encode(notes["split"]),
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


def _encode(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > MAX_NAME_BYTES:
        raise ConfigError(f"name {text!r} has more than {MAX_NAME_BYTES} bytes; use a shorter one")
    return encoded


def refresh_index(folder: Path) -> None:
    """Build the index again after parts were added to a store.

    Raises:
        MediaError: a clip is damaged, or the index cannot be written.
    """
    names = np.load(folder / "index.npy")["clip"]
    build_index(folder, [name.decode() for name in names])
