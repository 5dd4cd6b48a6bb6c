"""The mark in the sound: cells of time and pitch a little louder or softer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retalking.trust.sound.pattern import HOP_S, HOPS_PER_SLOT, NUM_SLOTS, band_of
from retalking.types import Float64Array, FloatArray

_GAIN_DB = 2.4


@dataclass(frozen=True)
class SoundMark:
    """Marks sound while it flows.

    Attributes:
        signs: float32 ``[50, 32]`` of ``slot_signs``.
    """

    signs: FloatArray

    def apply(self, blocks: Iterator[FloatArray], rate_hz: int) -> Iterator[FloatArray]:
        """Yield the same sound, marked; how it is cut into blocks does not matter.

        Args:
            blocks: float32 ``[C, N]`` each.
            rate_hz: of the samples.

        Yields:
            float32 ``[C, N]``, as many samples in all.
        """
        hop = max(round(HOP_S * rate_hz), 1)
        waiting: FloatArray | None = None
        given = made = frame = 0
        tail: Float64Array | None = None
        for block in blocks:
            if waiting is None or tail is None:
                waiting = np.zeros((len(block), hop), dtype=np.float32)
                tail = np.zeros((len(block), hop))
            given += block.shape[1]
            waiting = np.concatenate([waiting, block], axis=1)
            count = waiting.shape[1] // hop - 1
            if count > 0:
                done, tail = self._change(waiting, count, frame, tail, rate_hz)
                done = done if frame else done[:, hop:]  # before the first sample
                waiting, frame = waiting[:, count * hop :], frame + count
                made += done.shape[1]
                if done.shape[1]:
                    yield done
        if waiting is None or tail is None:
            return
        rest = np.pad(waiting, ((0, 0), (0, 2 * hop)))
        done, _ = self._change(rest, rest.shape[1] // hop - 1, frame, tail, rate_hz)
        yield (done if frame else done[:, hop:])[:, : given - made]

    def _change(
        self, samples: FloatArray, count: int, first: int, tail: Float64Array, rate_hz: int
    ) -> tuple[FloatArray, Float64Array]:
        """Change ``count`` windows, the first of which has the number ``first``."""
        hop = tail.shape[1]
        window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop))
        places = np.arange(count)[:, None] * hop + np.arange(2 * hop)
        spectra = np.fft.rfft(samples[:, places] * window, axis=-1)
        slots = (first + np.arange(count)) // HOPS_PER_SLOT % NUM_SLOTS
        band = band_of(2 * hop, rate_hz)
        signs = np.where(band >= 0, self.signs[slots][:, band], 0)
        spectra *= 10 ** (_GAIN_DB / 20 * signs)
        windows = np.fft.irfft(spectra, 2 * hop, axis=-1) * window
        made = np.empty((len(samples), count, hop))
        made[:, 0] = tail + windows[:, 0, :hop]
        made[:, 1:] = windows[:, :-1, hop:] + windows[:, 1:, :hop]
        return made.reshape(len(samples), -1).astype(np.float32), windows[:, -1, hop:]
