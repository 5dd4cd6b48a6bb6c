"""CPBD, sharpness without a reference (Narvekar and Karam 2011), over full frames in grey.

An edge is sharp where it is no wider than the eye notices: 5 px at low contrast, 3 px at high. The
score is the share of sharp edges among those in blocks that hold edges.

Everything follows the ``cpbd`` package (PyPI, 1.0.7), whose scores the tables compare with; its
habits beyond the paper are kept and named where they occur.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import convolve

from retalking.metrics.means import FrameMetric
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity
from retalking.types import BoolArray, Float64Array, IntArray, UInt8Array

BLOCK_PX = 64
EDGE_SHARE = 0.002
"""Share of edge pixels above which a block counts."""
JNB_CONTRAST = 50
"""Largest difference of levels in a block of low contrast."""
JNB_WIDTHS_PX = (5.0, 3.0)
"""Just noticeable width of edges, at low and at high contrast."""
BETA = 3.6
NOTICED_PERCENT = 63
"""Probability of noticing blur at the just noticeable width: 1 - 1 / e."""

_LONGEST_FLANK = 100  # steps that an edge is followed to either side
_SOBEL = np.outer([1, 2, 1], [1, 0, -1]) / 8
_TAN_22_5 = np.tan(np.pi / 8)


class Cpbd(FrameMetric):
    """Mean CPBD over frames."""

    needs: frozenset[Need] = frozenset()

    def __init__(self) -> None:
        super().__init__(Quantity("cpbd", "", "higher", note="full frames"))

    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        """Score every frame of the result."""
        return [cpbd(np.asarray(Image.fromarray(rgb).convert("L"))) for rgb in chunk.result]


def cpbd(grey: UInt8Array) -> float:
    """Score a picture.

    Args:
        grey: uint8 ``[H, W]``.

    Returns:
        In [0, 1]; 0 where no block has edges, so also for pictures under 64 px.
    """
    from skimage.feature import canny  # noqa: PLC0415 - slow to import, and needed here alone

    image = grey.astype(np.float64)
    blocks_down, blocks_across = (side // BLOCK_PX for side in image.shape)
    if not blocks_down or not blocks_across:
        return 0.0
    # Canny's thresholds are those for levels in [0, 1], while the levels are 0..255 here: nearly
    # every ridge of the gradient is an edge, and few blocks have none.
    edge_share = _blocks(canny(image)).mean(axis=1)
    levels, widths = _blocks(image), _blocks(edge_widths(image))
    contrast = levels.max(axis=1) - levels.min(axis=1)
    noticeable = np.where(contrast <= JNB_CONTRAST, *JNB_WIDTHS_PX)[:, None]
    blur_percent = np.round(100 * (1 - np.exp(-((widths / noticeable) ** BETA))))
    counted = (widths > 0) & (edge_share > EDGE_SHARE)[:, None]
    sharp = counted & (blur_percent <= NOTICED_PERCENT)
    return float(sharp.sum() / max(counted.sum(), 1))


def edge_widths(image: Float64Array) -> IntArray:
    """Measure the widths of vertical edges along their rows (Marziliano et al. 2002).

    From an edge pixel the row is followed to both sides for as long as its levels keep rising, or
    falling, as they do at the edge.

    Args:
        image: ``[H, W]`` in 0..255.

    Returns:
        int64 ``[H, W]`` in pixels, 0 where there is no edge to measure.
    """
    down, across = np.gradient(image)
    widths = np.zeros(image.shape, dtype=np.int64)
    if not ((across < 0) | ((across > 0) & (down != 0))).any():
        return widths  # the package measures nothing where all gradients point along the rows
    # Gradients within 22.5 degrees of a row; pixels without a slope along it count as rising.
    level = np.abs(down) <= _TAN_22_5 * np.abs(across)
    rising = (level & (across > 0)) | (across == 0)
    falling = level & (across < 0)
    edges = sobel_edges(image)
    edges[[0, -1]] = edges[:, [0, -1]] = False
    steps = np.diff(image, axis=1)
    for direction, monotonic in ((rising, steps > 0), (falling, steps < 0)):
        flanks = 2 + _flank(monotonic) + _flank(monotonic[:, ::-1])[:, ::-1]
        widths = np.where(edges & direction, flanks, widths)
    return widths


def _flank(monotonic: BoolArray) -> IntArray:
    """Count how many steps before the one that leads to each pixel go the right way.

    Args:
        monotonic: bool ``[H, W - 1]``; step ``c`` leads from pixel ``c`` to ``c + 1``.

    Returns:
        int64 ``[H, W]``, at most 100: length of the run that ends at step ``c - 2``.
    """
    position = np.arange(monotonic.shape[1])
    last_break = np.maximum.accumulate(np.where(monotonic, -1, position), axis=1)
    run = np.minimum(position - last_break, _LONGEST_FLANK)
    return np.pad(run, ((0, 0), (2, 0)))[:, : monotonic.shape[1] + 1]


def sobel_edges(image: Float64Array) -> BoolArray:
    """Find vertical edges as Octave's ``edge`` does: threshold, then a very simple thinning.

    Returns:
        bool ``[H, W]``.
    """
    strength = np.square(convolve(image, _SOBEL))
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    padded = np.pad(strength, 1)
    rows, columns = padded[1:-1], padded[:, 1:-1]
    beside = (strength > rows[:, :-2]) & (strength > rows[:, 2:])
    above_below = (strength > columns[:-2]) & (strength > columns[2:])
    return beside | above_below


def _blocks(picture: NDArray[Any]) -> NDArray[Any]:
    """Whole blocks of ``[H, W]`` as rows ``[N, 64 * 64]``."""
    height, width = (side // BLOCK_PX * BLOCK_PX for side in picture.shape)
    tiles = picture[:height, :width].reshape(height // BLOCK_PX, BLOCK_PX, -1, BLOCK_PX)
    return tiles.swapaxes(1, 2).reshape(-1, BLOCK_PX**2)
