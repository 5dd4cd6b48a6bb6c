"""32 bits spread over many small changes ("chips") whose signs only the holder of a key knows.

Each chip of a keyed random linear code is the parity of some of the payload's bits. With the 16
bits of project and version known, all 65,536 payloads are scored at once by a Walsh-Hadamard
transform: decoding is by maximum likelihood, and the tail of its null distribution is known. For
values that do not depend on the key, the score of a wrong payload is a sum of values with random
signs, which exceeds ``z`` times the root of the sum of their squares with probability at most
``exp(-z * z / 2)`` (Hoeffding 1963), whatever the values are.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from numpy.typing import NDArray

from retalking.types import Float64Array, FloatArray

PROJECT = 0x5E1
"""Twelve bits by which marks of this project are told from those of others who use its code."""
VERSION = 3
"""Four bits, counted up when the mark changes."""
USER_BITS = 16
PUBLIC_KEY = b"retalking public watermark key"
"""The key without a wish: anybody who has this program can read the mark, and tell who made it."""

_HEAD = (PROJECT << 4 | VERSION) << USER_BITS


def payload_of(user: int) -> int:
    """All 32 bits: project, version and the user's.

    Args:
        user: 0 to 65,535.
    """
    return _HEAD | user


class PayloadCode:
    """The signs of a number of chips."""

    def __init__(self, key: bytes, use: str, num_chips: int) -> None:
        """Derive the code.

        Args:
            key: of any length.
            use: what the chips are in, such as ``picture``; other uses get other signs.
            num_chips: how many there are.
        """
        digest = hmac.new(key, f"{use} {num_chips}".encode(), hashlib.sha256).digest()
        # Raw words: what numpy makes of them may change between its versions, they may not.
        stream = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
        words = stream.random_raw(num_chips)
        self._rows = (words & np.uint64(2**USER_BITS - 1)).astype(np.int64)
        self._head = _parity(words >> np.uint64(USER_BITS) & np.uint64(_HEAD >> USER_BITS))

    def signs(self, user: int) -> FloatArray:
        """Signs of a payload: float32 ``[N]``, -1 or 1.

        Args:
            user: 0 to 65,535.
        """
        if not 0 <= user < 2**USER_BITS:
            raise ValueError(f"payload: got {user}, expected 0 to {2**USER_BITS - 1}")
        own = _parity(self._rows.astype(np.uint64) & np.uint64(user))
        signs: FloatArray = (self._head * own).astype(np.float32)
        return signs

    def scores(self, values: NDArray[np.floating]) -> Float64Array:
        """Return how well each payload fits: the sums of the values with its signs.

        Args:
            values: ``[N]``, what was seen of each chip; zero where nothing was.

        Returns:
            float64 ``[65536]``, by the user's bits.
        """
        sums = np.bincount(self._rows, values * self._head, 2**USER_BITS)
        return _walsh_hadamard(sums.astype(np.float64))


def log10_tail(score: float, num_windows: int) -> float:
    """Probability that the score of one payload arises without a mark: its log10.

    Args:
        score: sum over windows of squared scores, each in standard deviations; without a mark
            chi-squared with two degrees of freedom for each window.
        num_windows: how many.
    """
    half = score / 2
    orders = np.arange(num_windows)
    terms = orders * np.log(max(half, 1e-9)) - np.cumsum(np.log(np.maximum(orders, 1)))
    most = float(terms.max())
    return float(most + np.log(np.exp(terms - most).sum()) - half) / float(np.log(10))


def best_payload(scores: Float64Array, num_windows: int, num_searches: float) -> tuple[int, float]:
    """Choose the payload that can least be chance, among all and at all places searched.

    Half of the false positives allowed are given to the payload 0 of those who chose none, and half
    to all others together.

    Args:
        scores: float64 ``[65536]`` as ``log10_tail`` takes them.
        num_windows: as there.
        num_searches: places and scales at which the same was asked; or, if they are not given the
            same share of the false positives allowed, the inverse of the share of this one.

    Returns:
        The user's bits, and log10 of the probability that this happens without a mark.
    """
    other = 1 + int(scores[1:].argmax())
    rated = []
    for user, trials in ((0, 2.0), (other, 2.0 ** (USER_BITS + 1))):
        log10_p = log10_tail(float(scores[user]), num_windows) + np.log10(trials * num_searches)
        rated.append((min(float(log10_p), 0.0), user))
    log10_p, user = min(rated)
    return user, log10_p


def _parity(words: NDArray[np.uint64]) -> Float64Array:
    """1 where the number of set bits is even, -1 where it is odd."""
    odd = words.copy()
    for shift in (16, 8, 4, 2, 1):
        odd ^= odd >> np.uint64(shift)
    return 1.0 - 2.0 * (odd & np.uint64(1)).astype(np.float64)


def _walsh_hadamard(values: Float64Array) -> Float64Array:
    """Sums of values ``[65536]`` with the signs ``(-1)^(popcount(row & column))``."""
    side = 2 ** (USER_BITS // 2)
    square = values.reshape(side, side)
    for _ in range(2):  # along columns, then along rows: whole rows are added either time
        square = square.T.copy()
        half = 1
        while half < side:
            pairs = square.reshape(-1, 2, half, side)
            first = pairs[:, 0] + pairs[:, 1]
            np.subtract(pairs[:, 0], pairs[:, 1], out=pairs[:, 1])
            pairs[:, 0] = first
            half *= 2
    return square.reshape(-1)
