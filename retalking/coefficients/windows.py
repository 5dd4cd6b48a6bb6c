"""What D-Net reads: windows of 3DMM coefficients with the expression replaced by a template.

``F`` counts the frames of a video, ``T`` those of a chunk. A column of a window is one frame's
expression 64, angle 3, translation 3, crop (scale, tx, ty) 3: 73 values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from retalking.errors import ConfigError, WeightsError
from retalking.types import FaceCoefficients, FloatArray, IntArray

WINDOW_FRAMES = 26
"""Frames i-13 .. i+12: one short of the symmetric 27 that D-Net is meant for, kept for parity."""
NUM_EXPRESSION = 64
_FIRST_OFFSET = -13
_MAT_KEYS = {"neutral": "expression_center", "smile": "expression_mouth"}


@dataclass(frozen=True)
class ExpressionMix:
    """Point on the line between two expression templates (paper, Table 4).

    Attributes:
        first: name of the template at weight 0.
        second: name of the template at weight 1.
        weight: share of the second, in [0, 1].
    """

    first: str
    second: str
    weight: float

    def resolve(self, templates: Mapping[str, FloatArray]) -> FloatArray:
        """Mix the named templates.

        Args:
            templates: float32 ``[64]`` by name.

        Returns:
            float32 ``[64]``.

        Raises:
            ConfigError: if a name is not among the templates.
        """
        for name in (self.first, self.second):
            if name not in templates:
                raise ConfigError(
                    f"expression: got template '{name}', expected one of "
                    f"{', '.join(sorted(templates))}"
                )
        mixed = (1 - self.weight) * templates[self.first] + self.weight * templates[self.second]
        return mixed.astype(np.float32)


def parse_expression(text: str) -> ExpressionMix:
    """Read ``NAME`` or ``NAME:NAME:WEIGHT``, for example ``neutral:smile:0.4``.

    Raises:
        ConfigError: if the text has another form or the weight is not in [0, 1].
    """
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1 and parts[0]:
        return ExpressionMix(parts[0], parts[0], 0.0)
    form = (
        f"expression: got '{text}', expected NAME or FIRST:SECOND:WEIGHT such as neutral:smile:0.4"
    )
    if len(parts) != 3 or not all(parts):
        raise ConfigError(form)
    try:
        weight = float(parts[2])
    except ValueError:
        raise ConfigError(f"{form} with a number as weight") from None
    if not 0 <= weight <= 1:
        raise ConfigError(f"{form} with a weight from 0 to 1")
    return ExpressionMix(parts[0], parts[1], weight)


def load_expression_templates(path: Path) -> dict[str, FloatArray]:
    """Read the templates of the official ``expression.mat``.

    Args:
        path: MATLAB file with ``expression_center`` and ``expression_mouth``, the template being
            the first 64 values of row 0.

    Returns:
        float32 ``[64]`` under ``neutral`` and ``smile``.

    Raises:
        WeightsError: if the file is missing, is not a MATLAB file or lacks a template.
    """
    # Only the official file needs it, and it takes long to import.
    from scipy.io import loadmat  # noqa: PLC0415
    from scipy.io.matlab import MatReadError  # noqa: PLC0415

    if not path.is_file():
        raise WeightsError(f"{path}: no such file; download the expression templates")
    try:
        content = loadmat(path, appendmat=False, variable_names=list(_MAT_KEYS.values()))
    # What scipy raises depends on where a file is cut off.
    except (MatReadError, OSError, ValueError, LookupError, NotImplementedError) as error:
        raise WeightsError(
            f"{path}: not a complete MATLAB file ({error}); download it again"
        ) from error
    templates = {}
    for name, key in _MAT_KEYS.items():
        rows = np.atleast_2d(content.get(key, np.empty((0, 0))))
        numeric = rows.dtype.kind in "fiu"
        if not numeric or rows.shape[0] < 1 or rows.shape[1] < NUM_EXPRESSION:
            raise WeightsError(
                f"{path}: got {rows.dtype}{list(rows.shape)} for '{key}', expected numbers in at "
                f"least 1 row of {NUM_EXPRESSION}"
            )
        templates[name] = rows[0, :NUM_EXPRESSION].astype(np.float32)
    return templates


def window_indices(frames: ArrayLike, shot_id: IntArray) -> IntArray:
    """Frames i-13 .. i+12 around each frame, clamped to its shot.

    Args:
        frames: frame indices ``[T]``.
        shot_id: int64 ``[F]``, counts up at every cut.

    Returns:
        int64 ``[T, 26]``.
    """
    centres = np.asarray(frames, dtype=np.int64)
    shots = shot_id[centres]
    first = np.searchsorted(shot_id, shots, side="left")
    last = np.searchsorted(shot_id, shots, side="right") - 1
    offsets = _FIRST_OFFSET + np.arange(WINDOW_FRAMES)
    return np.clip(centres[:, None] + offsets, first[:, None], last[:, None])


def coefficient_windows(
    coefficients: FaceCoefficients,
    frames: ArrayLike,
    shot_id: IntArray,
    template: FloatArray | None = None,
    scale_ratio: ArrayLike = 1.0,
) -> FloatArray:
    """Gather D-Net's input for a chunk of frames.

    Args:
        coefficients: of the whole video.
        frames: frame indices ``[T]``.
        shot_id: int64 ``[F]``; a window never looks across a cut.
        template: expression ``[64]`` for every column, or ``None`` to keep the frames' own.
        scale_ratio: factor for the crop scale, one for all or ``[T]``; see ``crop_scale_ratio``.

    Returns:
        float32 ``[T, 73, 26]``.
    """
    rows = window_indices(frames, shot_id)
    expression = coefficients.expression[rows]
    if template is not None:
        expression = np.broadcast_to(template, expression.shape)
    crop = coefficients.crop[rows]
    crop[..., 0] *= np.asarray(scale_ratio, dtype=np.float32).reshape(-1, 1)
    columns = np.concatenate(
        [expression, coefficients.angle[rows], coefficients.translation[rows], crop], axis=-1
    )
    windows: FloatArray = np.ascontiguousarray(columns.transpose(0, 2, 1), dtype=np.float32)
    return windows


def crop_scale_ratio(source: FaceCoefficients, driving: FaceCoefficients) -> float:
    """Crop scale of the source over that of the driving frame most like it.

    Needed where one picture is driven by the head motion of others (one-shot); a frame driven by
    itself has ratio 1. Likeness weighs the mean absolute difference of expression (0.3) and of
    angle (0.7), as upstream does.

    Args:
        source: coefficients of the one source frame.
        driving: coefficients of the driving video, at least one frame.
    """
    if len(source) != 1 or len(driving) < 1:
        raise ValueError(
            f"crop_scale_ratio: got {len(source)} source and {len(driving)} driving frames, "
            "expected 1 and at least 1"
        )
    difference = 0.3 * np.abs(driving.expression - source.expression).mean(axis=1) + 0.7 * np.abs(
        driving.angle - source.angle
    ).mean(axis=1)
    nearest = int(difference.argmin())
    return float(source.crop[0, 0] / driving.crop[nearest, 0])
