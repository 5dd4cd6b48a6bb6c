"""What the detector sees of a file, kept: another detector can be asked without looking again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.trust.picture.faces import SeenFace

_FIELDS = ("cells", "weights", "time_s", "height_px", "portrait")


def seen_once(file: Path | None, look: Callable[[], list[SeenFace]]) -> list[SeenFace]:
    """Return the faces that a file keeps; those that ``look`` sees, and keep them, if it is not
    there yet.

    Args:
        file: ``*.arrays``; ``None`` keeps nothing.
        look: is called at most once.
    """
    if file is not None and file.exists():
        return _read(file)
    faces = look()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, faces)
    return faces


def _write(file: Path, faces: Sequence[SeenFace]) -> None:
    arrays = {
        f"{name}{number}": np.asarray(getattr(face, name))
        for number, face in enumerate(faces)
        for name in _FIELDS
    }
    write_arrays(file, arrays)


def _read(file: Path) -> list[SeenFace]:
    kept = read_arrays(file)
    return [
        SeenFace(
            cells=kept[f"cells{number}"],
            weights=kept[f"weights{number}"],
            time_s=kept[f"time_s{number}"],
            height_px=float(kept[f"height_px{number}"]),
            portrait=kept[f"portrait{number}"],
        )
        for number in range(len(kept) // len(_FIELDS))
    ]
