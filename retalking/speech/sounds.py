"""Where the sounds of one person lie: near one another if they sound, and so look, alike.

Five measures of the lips do not say where teeth and tongue are; the sound does. In the main
directions of what is heard (``features.hear``), mouths are looked up by what was said with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.types import FloatArray

_DIRECTIONS = 16
_MOST_MEASURED = 1000  # sounds, between which typical distances are measured


@dataclass(frozen=True)
class SoundSpace:
    """Main directions of the sounds of a person: ``C`` features, ``K`` directions.

    Attributes:
        mean: float32 ``[C]``.
        axes: float32 ``[C, K]``, such that two sounds of the person are typically 1 apart.
        encoder: hash of the encoder that hears, in hexadecimal digits.
    """

    mean: FloatArray
    axes: FloatArray
    encoder: str

    @classmethod
    def of(cls, heard: FloatArray, encoder: str) -> SoundSpace:
        """Find the main directions.

        Args:
            heard: float32 ``[C, T]``, at least two columns that differ.
            encoder: see the attributes.
        """
        mean, spread = heard.mean(axis=1), heard.std(axis=1).clip(1e-3)
        normal = (heard.T - mean) / spread
        axes = np.linalg.svd(normal, full_matrices=False)[2][:_DIRECTIONS].T
        some = normal[:: -(-len(normal) // _MOST_MEASURED)] @ axes
        apart = distances(some, some)[np.triu_indices(len(some), 1)]
        axes = axes / spread[:, None] / max(float(np.median(apart)), 1e-6)
        return cls(mean, axes.astype(np.float32), encoder)

    @property
    def num_directions(self) -> int:
        """``K``."""
        return self.axes.shape[1]

    def place(self, heard: FloatArray) -> FloatArray:
        """Return where sounds ``[C, T]`` lie, float32 ``[T, K]``."""
        placed: FloatArray = (heard.T - self.mean) @ self.axes
        return placed

    def save(self, path: Path) -> None:
        """Write a file. Atomic.

        Raises:
            MediaError: it cannot be written.
        """
        encoder = np.frombuffer(self.encoder.encode(), np.uint8)
        write_arrays(path, {"mean": self.mean, "axes": self.axes, "encoder": encoder})

    @classmethod
    def read(cls, path: Path) -> SoundSpace:
        """Undo ``save``.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged.
            KeyError: it holds something else.
        """
        arrays = read_arrays(path)
        return cls(arrays["mean"], arrays["axes"], arrays["encoder"].tobytes().decode())


def distances(some: FloatArray, others: FloatArray) -> FloatArray:
    """Return how far places ``[R, K]`` are from others ``[S, K]``: ``[R, S]``, NaN for NaN."""
    square = np.square(some).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    apart: FloatArray = np.sqrt(np.maximum(square - 2 * some @ others.T, 0))
    return apart
