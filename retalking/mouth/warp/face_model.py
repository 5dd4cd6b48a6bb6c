"""A speaker's face: where its landmarks are for a head pose and a lip shape, and for nothing else.

All frames are brought into the head's frame by points that speech does not move. There a linear
regression on lip measures and head angles gives a mean shape and modes. Modes lean on those that
people have in common (``ExpressionBasis``) as far as the video says little: a photograph has only
these. ``F`` counts frames, ``N`` whatever is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retalking.arrays import scratch
from retalking.coefficients.basis import ExpressionBasis
from retalking.mouth.warp.lip_measures import NUM_MEASURES, differentiate_measures
from retalking.mouth.warp.turns import TYPICAL_TURN, turn_terms
from retalking.types import Float64Array

_PRIOR_FRAMES = 30.0  # frames of typical speech that what people have in common counts for
_MEASURE_NOISE = 0.02  # of a measure, in shape units: keeps measures that always go together apart
_ROUNDS = 3  # of reweighting frames whose landmarks are off
_OUTLIER = 2.5  # medians


@dataclass(frozen=True)
class FaceModel:
    """Linear model of normalised shapes.

    Attributes:
        mean_shape: float64 ``[68, 3]`` at the mean lips and angles.
        modes: float64 ``[5, 68, 3]``, change per unit of each lip measure.
        turns: float64 ``[4, 68, 3]``, what landmarks do with pitch, yaw and their squares, which is
            an error of theirs rather than of the face.
        mean_lips: float64 ``[5]``.
        mean_angles: float64 ``[2]`` pitch and yaw.
    """

    mean_shape: Float64Array
    modes: Float64Array
    turns: Float64Array
    mean_lips: Float64Array
    mean_angles: Float64Array

    def shapes(self, lips: Float64Array, angles: Float64Array) -> Float64Array:
        """Return normalised shapes ``[N, 68, 3]`` of measures ``[N, 5]`` at angles ``[N, 3]``."""
        turned = np.tensordot(self._turn_terms(angles), self.turns, axes=1)
        shaped = np.tensordot(lips - self.mean_lips, self.modes, axes=1)
        found: Float64Array = self.mean_shape + shaped + turned
        return found

    def _turn_terms(self, angles: Float64Array) -> Float64Array:
        return turn_terms(angles, self.mean_angles)


def common_modes(shape: Float64Array, basis: ExpressionBasis) -> tuple[Float64Array, Float64Array]:
    """What people have in common: modes ``[5, 68, 3]`` and deviations ``[5]`` of lip measures.

    Expressions are taken as normal deviates; a mode is what a shape is expected to do when one
    measure changes and the others stay.
    """
    spread = basis.expressions.reshape(len(basis.expressions), -1).astype(np.float64)
    seen = spread @ differentiate_measures(shape).T  # how each expression moves the measures
    covariance = seen.T @ seen
    noise = _MEASURE_NOISE**2 * np.eye(NUM_MEASURES)
    modes = np.linalg.solve(covariance + noise, seen.T @ spread)
    return modes.reshape(NUM_MEASURES, *shape.shape), np.sqrt(np.diag(covariance))


def fit_face(
    shapes: Float64Array, lips: Float64Array, angles: Float64Array, basis: ExpressionBasis
) -> FaceModel:
    """Fit the model of one speaker.

    Args:
        shapes: normalised, ``[F, 68, 3]``, at least one.
        lips: ``[F, 5]`` of ``level_lips``.
        angles: ``[F, 3]`` pitch, yaw, roll in radians.
        basis: what people have in common.
    """
    mean_lips, mean_angles = lips.mean(axis=0), angles[:, :2].mean(axis=0)
    modes, deviations = common_modes(shapes.mean(axis=0), basis)
    terms = turn_terms(angles, mean_angles)
    inputs = np.concatenate([np.ones((len(lips), 1)), lips - mean_lips, terms], axis=1)
    size = shapes[0].size
    prior = np.concatenate(
        [
            np.zeros((1, size)),
            modes.reshape(NUM_MEASURES, size),
            np.zeros((len(TYPICAL_TURN), size)),
        ]
    )
    trust = _PRIOR_FRAMES * np.concatenate([[0.0], deviations**2, TYPICAL_TURN**2])
    flat = shapes.reshape(len(shapes), size)
    weights, errors = np.ones(len(flat)), np.empty(len(flat))
    for _ in range(_ROUNDS):
        weighted = inputs * weights[:, None]
        power = weighted.T @ inputs + np.diag(trust)
        found = np.linalg.solve(power, weighted.T @ flat + trust[:, None] * prior)
        for rows in scratch.blocks(len(flat)):
            rest = flat[rows] - inputs[rows] @ found
            errors[rows] = np.sqrt(np.square(rest).sum(axis=1))
        weights = np.minimum(1.0, _OUTLIER * np.median(errors) / np.maximum(errors, 1e-9))
        weights = np.maximum(weights, 1e-3)
    parts = found.reshape(-1, *shapes.shape[1:])
    return FaceModel(
        parts[0], parts[1 : 1 + NUM_MEASURES], parts[1 + NUM_MEASURES :], mean_lips, mean_angles
    )
