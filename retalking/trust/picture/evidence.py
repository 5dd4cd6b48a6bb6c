"""Evidence of the picture's mark in the faces of a video.

The detector sees each face in the coordinates in which the mark was added, held still, asks of
every cell how it turns with the mark's frequencies, and of all cells together which payload they
fit. What a moving mouth does to all cells is learnt from the other frequencies, and taken out (a
matched filter for noise of known covariance). Nothing of that knows the key, so without the mark a
score follows chance. ``T`` counts frames, ``P`` places at which the mark is looked for, ``C``
cells, ``K`` frequencies.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from retalking.face.crops import LIP_PX
from retalking.rendering.masks import lower_face_mask
from retalking.trust.payload_code import PayloadCode, best_payload
from retalking.trust.picture.cells import OFFSETS
from retalking.trust.picture.pattern import FREQUENCIES_HZ, GRID_PX, NUM_COLUMNS, NUM_ROWS
from retalking.types import Float64Array, FloatArray

WINDOW_S = 10.0
"""Within this time the mark's frequencies are trusted to the phase."""
SHORTEST_S = 2.0
"""Less shows too few periods to tell anything."""
_NUM_BEGINNINGS = 8
"""Times since the mark's frequencies last met, which are tried: a quarter of a second apart."""
_USUAL = 0.5
_USUAL_SIDE = 0.9
"""Shares of the false positives allowed that go to the face where it is seen, to a video from its
beginning on, and to one that is not mirrored; other places, beginnings and mirrored videos share
the rest. What most files are like is paid for with little that way, and all together with 1."""
_SLOW_HZ, _FAST_HZ = 1.5, 9.0
"""Between them lies the noise that the mark is compared with; what is slower is left out."""
_INDEPENDENT = 0.5  # share of the noise that cells are taken to have for themselves
_LEAST_NOISE = 1e-3  # levels of 255; nothing is divided by zero
_MOST = 2.0  # of the root mean square: no cell says more


@dataclass(frozen=True)
class Finding:
    """What a detector found.

    Attributes:
        user: the user's bits of the payload that fits best.
        log10_p: log10 of the probability that something without this mark fits so well.
        windows_log10_p: the same of each window for itself.
        mirrored: whether the picture is the mirror image.
    """

    user: int
    log10_p: float
    windows_log10_p: tuple[float, ...]
    mirrored: bool = False

    def counting(self, num_tried: int) -> float:
        """Return ``log10_p`` where this is one of so many that were looked at."""
        return min(self.log10_p + float(np.log10(num_tried)), 0.0)


def face_weights(landmarks: Float64Array) -> FloatArray:
    """Return how much of each cell is edited: float32 ``[C]`` in [0, 1].

    Args:
        landmarks: ``[68, 2]`` in pixels of the small lip crop.
    """
    mask = lower_face_mask(landmarks * (LIP_PX / GRID_PX) + (LIP_PX / GRID_PX - 1) / 2)
    cells = cv2.resize(mask, (NUM_COLUMNS, NUM_COLUMNS), interpolation=cv2.INTER_AREA)
    weights: FloatArray = cells[NUM_COLUMNS - NUM_ROWS :].astype(np.float32).ravel()
    return weights


def weigh(
    cells: FloatArray, weights: FloatArray, time_s: Float64Array, code: PayloadCode
) -> Finding | None:
    """Weigh the evidence of a face.

    Args:
        cells: float32 ``[T, P, C]`` of ``CellReader``.
        weights: float32 ``[C]`` of ``face_weights``.
        time_s: float64 ``[T]``, increasing.
        code: of ``picture_code``.

    Returns:
        ``None`` if the face is not seen for long enough.
    """
    windows = _split(time_s)
    if not windows:
        return None
    best: Finding | None = None
    for place in range(len(OFFSETS)):
        turning = [
            weights * _turning(cells[rows, place].astype(np.float64), time_s[rows])
            for rows in windows
        ]
        for mirrored in (False, True):
            seen = [_mirror(values) for values in turning] if mirrored else turning
            share = _share(_USUAL, place, len(OFFSETS)) * _share(_USUAL_SIDE, mirrored, 2)
            found = _decode(seen, code, mirrored, share)
            if best is None or found.log10_p < best.log10_p:
                best = found
    return best


def _split(time_s: Float64Array) -> list[slice]:
    """Equal windows of at most ``WINDOW_S``."""
    if len(time_s) < 2 or time_s[-1] - time_s[0] < SHORTEST_S:
        return []
    length_s = float(time_s[-1] - time_s[0])
    edges_s = np.linspace(0, length_s, int(np.ceil(length_s / WINDOW_S)) + 1)[1:-1] + time_s[0]
    edges = [0, *np.searchsorted(time_s, edges_s).tolist(), len(time_s)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b - a > 10]


def _turning(series: Float64Array, time_s: Float64Array) -> Float64Array:
    """How much each cell of ``[T, C]`` turns, cosines and sines, whitened: ``[K, 2, C]``."""
    slow, other, mark = _motions(time_s)
    series = series - slow @ (slow.T @ series)
    found, *_ = np.linalg.lstsq(mark, series, rcond=None)
    rest = other.T @ (series - mark @ found)
    noise = np.sqrt(np.square(rest).mean(axis=0)) + _LEAST_NOISE
    rest /= noise
    # Fewer motions than cells: by the Woodbury identity only a matrix of the motions is solved.
    shared = (1 - _INDEPENDENT) / len(rest)
    turned = found / noise
    inner = np.eye(len(rest)) * _INDEPENDENT + shared * (rest @ rest.T)
    turned -= shared * (np.linalg.solve(inner, rest @ turned.T).T @ rest)
    # Not divided by the noise once more, as a mark of equal strength would want it: codecs leave
    # more of the mark where a face has detail.
    limit = _MOST * np.sqrt(np.square(turned).mean()) + 1e-12
    whitened: Float64Array = np.clip(turned, -limit, limit)
    return whitened.reshape(len(FREQUENCIES_HZ), 2, -1)


def _motions(time_s: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Slow motions, those that noise is judged by, and the mark's: columns ``[T, ...]``.

    The first two are orthonormal, the last is free of the first.
    """
    since_s = time_s - time_s[0]
    hertz = np.arange(int(2 * _FAST_HZ * since_s[-1]) + 1) / (2 * since_s[-1])
    waves = np.cos(2 * np.pi * since_s[:, None] * hertz)  # as of a cosine transform
    is_slow = hertz < _SLOW_HZ
    slow, _ = np.linalg.qr(np.column_stack([waves[:, is_slow], since_s]))
    other, _ = np.linalg.qr(waves[:, ~is_slow])
    angles = 2 * np.pi * time_s[:, None] * np.array(FREQUENCIES_HZ)
    mark = np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(time_s), -1)
    mark -= slow @ (slow.T @ mark)
    return slow, other, mark


def _mirror(turning: Float64Array) -> Float64Array:
    cells = turning.reshape(-1, NUM_ROWS, NUM_COLUMNS)
    return cells[..., ::-1].reshape(turning.shape)


def _share(usual: float, which: int, count: int) -> float:
    """What the first of some possibilities is given of 1, or one of the others."""
    return usual if which == 0 else (1 - usual) / (count - 1)


def _decode(
    turning: list[Float64Array], code: PayloadCode, mirrored: bool, share: float
) -> Finding:
    """The payload that fits best, whatever the phase of each window."""
    squares = [_fit(each, code) for each in turning]
    count = len(squares)
    alone = [_best(each, 1, share) for each in squares]
    user, log10_p = _best(sum(squares[1:], squares[0]), count, share)
    if count > 1:  # the mark may be in a part of the video only
        single = min(alone, key=lambda each: each[1])
        strongest = single[1] + float(np.log10(count))
        user, log10_p = min((user, log10_p), (single[0], strongest), key=lambda each: each[1])
        log10_p += float(np.log10(2))
    windows = tuple(each[1] for each in alone)
    return Finding(user, min(log10_p, 0.0), windows, mirrored)


def _best(squares: Float64Array, num_windows: int, share: float) -> tuple[int, float]:
    """The payload that can least be chance, for any beginning."""
    found = [
        best_payload(each, num_windows, 1 / (share * _share(_USUAL, number, _NUM_BEGINNINGS)))
        for number, each in enumerate(squares)
    ]
    return min(found, key=lambda each: each[1])


def _fit(turning: Float64Array, code: PayloadCode) -> Float64Array:
    """Squared score of each payload for each beginning: float64 ``[8, 65536]``.

    Another beginning turns every frequency by an angle of its own. Part of that is the same for
    all, and does not change the size of their complex sum; the rest is tried out.
    """
    fits = []
    for number, (cosine, sine) in enumerate(turning):
        chips = np.zeros((2, *turning.shape))
        chips[0, number] = cosine, sine
        chips[1, number] = -sine, cosine
        along, across = (code.scores(part.ravel()) for part in chips)
        fits.append(along - 1j * across)
    # The square of the sum, by how far apart the frequencies are whose values are multiplied.
    parts, waves = [], []
    turns = 2 * np.pi * np.arange(_NUM_BEGINNINGS) / _NUM_BEGINNINGS
    for lag in range(len(fits)):
        pairs = zip(fits[lag:], fits, strict=False)
        product = sum(high * low.conj() for high, low in pairs) * (1 if lag == 0 else 2)
        parts += [product.real, product.imag]
        waves += [np.cos(lag * turns), -np.sin(lag * turns)]
    power = float(np.square(turning).sum()) + 1e-12
    fitting: Float64Array = np.stack(waves, axis=1) @ np.stack(parts) / power
    return fitting
