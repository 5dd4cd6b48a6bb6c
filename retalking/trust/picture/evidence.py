"""Evidence of the picture's mark in the faces of a video.

The detector sees each face in the coordinates in which the mark was added, asks of every cell how
much it sways with each of the mark's frequencies, and of all cells together which payload they fit.
What a moving mouth does to cells together, and to their other colours as well, and how restless
each is, is learnt from the frequencies around, and taken out (a matched filter for noise of known
covariance). Nothing of that knows the key, so without the mark a score follows chance. ``T`` counts
frames, ``K`` frequencies.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from retalking.face.crops import LIP_PX, warp
from retalking.rendering.masks import lower_face_mask
from retalking.trust.payload_code import PayloadCode, best_payload
from retalking.trust.picture.pattern import (
    CELL_PX,
    CHIPS,
    FREQUENCIES_HZ,
    GRID_PX,
    NUM_CELLS,
    NUM_COLORS,
    NUM_COLUMNS,
    NUM_ROWS,
    REPEATS_S,
    colors,
)
from retalking.types import Float64Array, FloatArray, UInt8Array

WINDOW_S = 10.0
"""Within this time the mark's frequencies are trusted to the phase."""
SHORTEST_S = 2.0
"""Less cannot tell the frequencies apart."""
_BEGINNINGS = 12
NUM_SEARCHES = 2 * _BEGINNINGS
"""Beginnings of the pattern, and each mirrored as well."""

_BLUR = 0.3  # of a cell: what is averaged into its value
_SURROUNDINGS = 2.0  # of a cell: standard deviation of what is taken from it
_SLOW_HZ, _FAST_HZ = 0.45, 6.0  # between them is the noise that counts
_FOREIGN = 0.3  # share of their own noise by which the other colours are trusted less
_INDEPENDENT = 0.7  # share of the noise that cells are taken to have for themselves
_LEAST_NOISE = 1e-3  # levels of 255
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


def look_at_cells(frame: UInt8Array, to_grid: Float64Array) -> FloatArray:
    """Return the colours of a face's cells: float32 ``[3, 72]`` in levels of 255.

    They are those of ``colors``, less what is around a cell.

    Args:
        frame: uint8 ``[H, W, 3]``.
        to_grid: ``[2, 3]``, frame to small lip crop.
    """
    grid = (GRID_PX, GRID_PX)
    small = warp(frame.astype(np.float32), to_grid, grid, cv2.BORDER_REPLICATE)
    seen = colors(small)
    detail = seen - cv2.GaussianBlur(seen, (0, 0), CELL_PX * _SURROUNDINGS)
    averaged = cv2.GaussianBlur(detail, (0, 0), CELL_PX * _BLUR)
    middle = (CELL_PX - 1) / 2
    cells = cv2.warpAffine(
        averaged,
        np.array([[CELL_PX, 0, middle], [0, CELL_PX, middle]]),
        (NUM_COLUMNS, NUM_COLUMNS),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    values: FloatArray = cells[NUM_COLUMNS - NUM_ROWS :].reshape(NUM_CELLS, NUM_COLORS).T.copy()
    return values


def face_weights(landmarks: Float64Array) -> FloatArray:
    """Return how much of each cell is edited: float32 ``[72]`` in [0, 1].

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
        cells: float32 ``[T, 3, 72]`` of ``look_at_cells``.
        weights: float32 ``[72]`` of ``face_weights``.
        time_s: float64 ``[T]``, increasing.
        code: of ``picture_code``.

    Returns:
        ``None`` if the face is not seen for long enough.
    """
    windows = _split(time_s)
    if not windows:
        return None
    swaying = [weights * _swaying(cells[rows], time_s[rows]) for rows in windows]
    found = [_decode(swaying, code, mirrored) for mirrored in (False, True)]
    return min(found, key=lambda each: each.log10_p)


def _split(time_s: Float64Array) -> list[slice]:
    """Equal windows of at most ``WINDOW_S``."""
    if len(time_s) < 2 or time_s[-1] - time_s[0] < SHORTEST_S:
        return []
    length_s = float(time_s[-1] - time_s[0])
    edges_s = np.linspace(0, length_s, int(np.ceil(length_s / WINDOW_S)) + 1)[1:-1] + time_s[0]
    edges = [0, *np.searchsorted(time_s, edges_s).tolist(), len(time_s)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b - a > 10]


def _swaying(values: FloatArray, time_s: Float64Array) -> Float64Array:
    """How much each cell sways with each frequency, cosine and sine ``[K, 2, 72]``, whitened."""
    since_s = time_s - time_s[0]
    count = int(2 * since_s[-1] * _FAST_HZ) + 1
    halves = np.arange(count) / (2 * since_s[-1])  # Hz
    waves = np.cos(2 * np.pi * since_s[:, None] * halves)
    slow = np.column_stack([waves[:, halves < _SLOW_HZ], since_s])
    slow, _ = np.linalg.qr(slow)
    band, _ = np.linalg.qr(waves[:, halves >= _SLOW_HZ])

    angle = 2 * np.pi * time_s[:, None] * np.array(FREQUENCIES_HZ)
    sought = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(len(time_s), -1)
    series = values.reshape(len(values), -1).astype(np.float64)
    sought, series = (part - slow @ (slow.T @ part) for part in (sought, series))
    found, *_ = np.linalg.lstsq(sought, series, rcond=None)
    rest = band.T @ (series - sought @ found)
    parts = (part.reshape(-1, NUM_COLORS, NUM_CELLS) for part in (found, rest))
    found, rest = _without_other_colors(*_in_units_of_noise(*parts))
    found, rest = _in_units_of_noise(found, rest)
    together = (1 - _INDEPENDENT) * rest.T @ rest + _INDEPENDENT * np.eye(NUM_CELLS)
    # Not divided by the noise once more, as a mark of equal strength would want it: codecs leave
    # more of the mark where a face has detail.
    swaying = np.linalg.solve(together, found.T).T
    limit = _MOST * np.sqrt(np.square(swaying).mean()) + 1e-12
    whitened: Float64Array = np.clip(swaying, -limit, limit).reshape(CHIPS)
    return whitened


def _in_units_of_noise(
    found: Float64Array, rest: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """What was found at the mark's frequencies and beside them, over the power of the latter."""
    noise = np.sqrt(np.square(rest).sum(axis=0)) + _LEAST_NOISE
    return found / noise, rest / noise


def _without_other_colors(
    found: Float64Array, rest: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Take from each cell's Cb what Cr and lightness tell: ``[..., 3, 72]`` to ``[..., 72]``."""
    others = rest[:, 1:]
    alike = np.einsum("bic,bjc->cij", others, others) + _FOREIGN * np.eye(NUM_COLORS - 1)
    shared = np.einsum("bic,bc->ci", others, rest[:, 0])
    shares = np.linalg.solve(alike, shared[..., None])[..., 0]
    found, rest = (
        part[:, 0] - np.einsum("kic,ci->kc", part[:, 1:], shares) for part in (found, rest)
    )
    return found, rest


def _decode(swaying: list[Float64Array], code: PayloadCode, mirrored: bool) -> Finding:
    """The payload that fits best, with the beginning that fits best."""
    squares = np.stack([_squares(_mirror(each) if mirrored else each, code) for each in swaying])
    count = len(squares)
    alone = [best_payload(square.max(axis=0), 1, NUM_SEARCHES) for square in squares]
    user, log10_p = best_payload(squares.sum(axis=0).max(axis=0), count, NUM_SEARCHES)
    if count > 1:  # the mark may be in a part of the video only
        single = min(alone, key=lambda each: each[1])
        strongest = single[1] + float(np.log10(count))
        user, log10_p = min((user, log10_p), (single[0], strongest), key=lambda each: each[1])
        log10_p += float(np.log10(2))
    windows = tuple(each[1] for each in alone)
    return Finding(user, min(log10_p, 0.0), windows, mirrored)


def _mirror(swaying: Float64Array) -> Float64Array:
    return swaying.reshape(-1, NUM_ROWS, NUM_COLUMNS)[..., ::-1].reshape(CHIPS)


def _squares(swaying: Float64Array, code: PayloadCode) -> FloatArray:
    """Squared scores of a window in standard deviations: float32 ``[beginnings, 65536]``.

    A later beginning turns the phase of every frequency by its own angle; the angle that all have
    in common is left free.
    """
    sums = np.empty((len(swaying), code.num_payloads), dtype=np.complex64)
    for number, (cosine, sine) in enumerate(swaying):
        values = np.zeros((2, *CHIPS))
        values[0, number], values[1, number] = (cosine, sine), (-sine, cosine)
        along, across = (code.scores(part.ravel()) for part in values)
        sums[number] = along + 1j * across
    begins_s = np.arange(_BEGINNINGS) * (REPEATS_S / _BEGINNINGS)
    turned = np.exp(-2j * np.pi * np.outer(begins_s, FREQUENCIES_HZ)).astype(np.complex64)
    scores = turned @ sums
    power = float(np.square(swaying).sum()) + 1e-12
    squares: FloatArray = (scores.real**2 + scores.imag**2) / np.float32(power)
    return squares
