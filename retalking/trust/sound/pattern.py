"""The pattern of the sound's mark: which cells of time and pitch are a little louder or softer.

A cell is 40 ms long and 100 Hz high. The same 50 x 32 cells come again every two seconds, so that
any few seconds of the sound hold all of the payload.
"""

from __future__ import annotations

import numpy as np

from retalking.trust.payload_code import PayloadCode
from retalking.types import FloatArray, IntArray

HOP_S = 0.02
"""Step of the windows in which the sound is changed; each is two steps long."""
HOPS_PER_SLOT = 2
NUM_SLOTS = 50
NUM_BANDS = 32
LOWEST_HZ, BAND_HZ = 200.0, 100.0
"""Up to 3,400 Hz: what telephones carry."""


def sound_code(key: bytes) -> PayloadCode:
    """Return the code of the sound's chips, slot by slot."""
    return PayloadCode(key, "sound", NUM_SLOTS * NUM_BANDS)


def slot_signs(code: PayloadCode, user: int) -> FloatArray:
    """Return the signs of a payload: float32 ``[50, 32]``."""
    return code.signs(user).reshape(NUM_SLOTS, NUM_BANDS)


def band_of(size: int, rate_hz: float) -> IntArray:
    """Return the band of each bin of a real FFT: int64 ``[size // 2 + 1]``, -1 outside all."""
    hz = np.arange(size // 2 + 1) * rate_hz / size
    band = np.floor((hz - LOWEST_HZ) / BAND_HZ).astype(np.int64)
    return np.where((band >= 0) & (band < NUM_BANDS), band, -1)
