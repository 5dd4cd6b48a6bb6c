"""D-Net's coefficients from 3-D landmarks alone, for the lite profile.

A face is ``mean + identity + expression``, turned, scaled and moved. The pose is fitted to points
that speech does not move; what is left over is the normalised shape. Its part that stays through a
shot is the person, the rest the expression, written in the principal components of an
``ExpressionBasis``. Expression 0 is a closed, relaxed mouth whoever the person is.

Shapes have ``x`` to the right of the picture, ``y`` down, ``z`` away from the camera; their unit is
the root mean square distance of the stable points from their centre. ``F`` counts frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from retalking.arrays import scratch
from retalking.coefficients.recon import CROP_PX, fit_recon_crop
from retalking.coefficients.windows import NUM_EXPRESSION
from retalking.errors import WeightsError
from retalking.face.crops import STABILISER_PX
from retalking.files import check_listed_hash, update_listed_hash
from retalking.ibug68 import LOWER_INNER_LIP, STABLE, UPPER_INNER_LIP
from retalking.locations import LITE_WEIGHTS
from retalking.types import FaceCoefficients, FaceTrack, Float64Array, FloatArray

EXPRESSION_BASIS_PATH = LITE_WEIGHTS / "expression_basis.safetensors"

_FRAMES_PER_EXPRESSION = 10.0  # frames closer than this show nearly the same expression
_NOISE = 0.02  # of a landmark's coordinate, in shape units
_TEMPLATE_PREFIX = "template."


@dataclass(frozen=True)
class ExpressionBasis:
    """What faces have in common, fitted by scripts/lite/fit_expression_basis.py.

    Attributes:
        mean_shape: float32 ``[68, 3]``, the average neutral face.
        opening: float32 ``[68, 3]``, displacement per unit of ``lip_gap``, mean over people.
        identities: float32 ``[J, 68, 3]``, how neutral faces differ, per standard deviation.
        expressions: float32 ``[K, 68, 3]``, orthogonal, per standard deviation; at most 64.
        templates: float32 ``[64]`` by name, ``neutral`` and ``smile``.
    """

    mean_shape: FloatArray
    opening: FloatArray
    identities: FloatArray
    expressions: FloatArray
    templates: Mapping[str, FloatArray]

    @classmethod
    def from_file(cls, path: Path = EXPRESSION_BASIS_PATH) -> ExpressionBasis:
        """Read what ``save`` wrote.

        Raises:
            WeightsError: the file is missing, damaged or holds something else.
        """
        try:
            arrays = load_file(path)
            check_listed_hash(path)
        except FileNotFoundError:
            raise WeightsError(f"{path}: no such file; it belongs to the repository") from None
        except (OSError, safetensors.SafetensorError) as error:
            raise WeightsError(f"{path}: not a readable safetensors file ({error})") from None
        templates = {
            name.removeprefix(_TEMPLATE_PREFIX): array
            for name, array in arrays.items()
            if name.startswith(_TEMPLATE_PREFIX)
        }
        faces = ("mean_shape", "opening", "identities", "expressions")
        wanted = dict.fromkeys(faces, (68, 3)) | {
            f"{_TEMPLATE_PREFIX}{name}": (NUM_EXPRESSION,) for name in ("neutral", "smile")
        }
        for name, shape in wanted.items():
            got = arrays[name].shape if name in arrays else None
            if got is None or got[-len(shape) :] != shape:
                raise WeightsError(f"{path}: {name} is {got}, expected {list(shape)} at its end")
        if len(arrays["expressions"]) > NUM_EXPRESSION:
            raise WeightsError(f"{path}: got {len(arrays['expressions'])} expressions, at most 64")
        return cls(**{name: arrays[name] for name in faces}, templates=templates)

    def save(self, path: Path) -> None:
        """Write the arrays as safetensors."""
        arrays = {
            "mean_shape": self.mean_shape,
            "opening": self.opening,
            "identities": self.identities,
            "expressions": self.expressions,
            **{f"{_TEMPLATE_PREFIX}{name}": value for name, value in self.templates.items()},
        }
        save_file({name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()}, path)
        update_listed_hash(path)

    def encode(self, deviations: Float64Array) -> FloatArray:
        """Write deviations from a person's neutral ``[F, 68, 3]`` as coefficients ``[F, 64]``."""
        flat = self.expressions.reshape(len(self.expressions), -1).astype(np.float64)
        coefficients = np.zeros((len(deviations), NUM_EXPRESSION), np.float32)
        power = (flat**2).sum(axis=1)
        coefficients[:, : len(flat)] = deviations.reshape(len(deviations), -1) @ flat.T / power
        return coefficients

    def decode(self, expression: NDArray[np.floating]) -> Float64Array:
        """Return shapes ``[..., 68, 3]`` of the average person with expressions ``[..., 64]``."""
        used = np.asarray(expression, np.float64)[..., : len(self.expressions)]
        return self.mean_shape + np.tensordot(used, self.expressions.astype(np.float64), axes=1)


@dataclass(frozen=True)
class HeadPose:
    """Similarity from the mean shape to the picture, per frame, float64.

    Attributes:
        rotation: ``[F, 3, 3]``.
        scale_px: ``[F]`` pixels per shape unit.
        center_px: ``[F, 3]``, where the origin of shapes lies.
    """

    rotation: Float64Array
    scale_px: Float64Array
    center_px: Float64Array

    def normalise(self, points_px: NDArray[np.floating]) -> Float64Array:
        """Undo the pose of points ``[F, 68, 3]``: shapes ``[F, 68, 3]``."""
        centred = points_px - self.center_px[:, None]
        return centred @ self.rotation / self.scale_px[:, None, None]

    @property
    def angles_rad(self) -> FloatArray:
        """Pitch (positive: down), yaw (positive: to the picture's right), roll (clockwise)."""
        x, y, z = np.moveaxis(self.rotation, -2, 0)  # rows: the rotation turns about x, y, then z
        pitch = np.arctan2(z[..., 1], z[..., 2])
        yaw = np.arctan2(z[..., 0], np.hypot(x[..., 0], y[..., 0]))
        roll = np.arctan2(y[..., 0], x[..., 0])
        return np.stack([pitch, yaw, roll], axis=-1).astype(np.float32)


def fit_pose(points_px: NDArray[np.floating], mean_shape: NDArray[np.floating]) -> HeadPose:
    """Fit the similarity by least squares on the stable points (Umeyama 1991).

    Args:
        points_px: ``[F, 68, 3]`` landmarks with depth.
        mean_shape: ``[68, 3]``.
    """
    source = np.asarray(mean_shape, np.float64)[list(STABLE)]
    target = np.asarray(points_px, np.float64)[:, list(STABLE)]
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=1)
    s, t = source - source_mean, target - target_mean[:, None]
    left, strengths, right = np.linalg.svd(np.einsum("fni,nj->fij", t, s))
    signs = np.ones_like(strengths)
    signs[:, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotation = (left * signs[:, None]) @ right
    scale = np.maximum((strengths * signs).sum(axis=1) / (s**2).sum(), 1e-6)
    center = target_mean - scale[:, None] * (rotation @ source_mean)
    return HeadPose(rotation, scale, center)


def move_points(
    points_px: NDArray[np.floating],
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    basis: ExpressionBasis,
) -> Float64Array:
    """Place the landmarks of faces that change their expression and keep their pose.

    Args:
        points_px: ``[F, 68, 3]`` landmarks with depth.
        before: expressions ``[F, 64]`` that they show.
        after: expressions ``[F, 64]`` to give them.
        basis: see there.

    Returns:
        ``[F, 68, 3]``.
    """
    pose = fit_pose(points_px, basis.mean_shape)
    change = basis.decode(after) - basis.decode(before)
    turned = np.einsum("fij,fnj->fni", pose.rotation, change)
    moved: Float64Array = points_px + pose.scale_px[:, None, None] * turned
    return moved


def lip_gap(shapes: NDArray[np.floating]) -> Float64Array:
    """Return the mean gap ``[...]``, 0 or more, between the inner lips of ``[..., 68, 3]``.

    Not ``ibug68.lip_opening``: the height alone, in shape units, as ``ExpressionBasis.opening`` was
    fitted to it. Lips that cross count as closed.
    """
    gap = shapes[..., LOWER_INNER_LIP, 1] - shapes[..., UPPER_INNER_LIP, 1]
    return np.maximum(gap.mean(axis=-1), 0).astype(np.float64)


def estimate_identity(shapes: Float64Array, basis: ExpressionBasis) -> Float64Array:
    """Estimate how a person's neutral face ``[68, 3]`` differs from the mean face.

    The opening of the lips says absolutely how far a face is from closed, so its average effect is
    taken off first. The rest is divided between person and expression as their spreads suggest:
    the more frames, the more is the person. Whoever smiles throughout keeps part of it as identity.

    Args:
        shapes: normalised shapes ``[F, 68, 3]`` of one person, at least one.
        basis: the spreads.
    """
    size = basis.mean_shape.size
    total, gaps = np.zeros(basis.mean_shape.shape), np.empty(len(shapes))
    for rows in scratch.blocks(len(shapes)):
        total = np.concatenate([total[None], shapes[rows]]).sum(axis=0)
        gaps[rows] = lip_gap(shapes[rows])
    closed = total / len(shapes) - basis.opening * gaps.mean()
    offset = (closed - basis.mean_shape).reshape(size)
    people = basis.identities.reshape(-1, size).astype(np.float64)
    moods = basis.expressions.reshape(-1, size).astype(np.float64)
    num_moods = 1 + (len(shapes) - 1) / _FRAMES_PER_EXPRESSION
    between = people.T @ people
    within = (moods.T @ moods + _NOISE**2 * np.eye(size)) / num_moods
    shrunk: Float64Array = between @ np.linalg.solve(between + within, offset)
    return shrunk.reshape(basis.mean_shape.shape)


def estimate_coefficients(
    points_px: NDArray[np.floating], track: FaceTrack, basis: ExpressionBasis
) -> FaceCoefficients:
    """Estimate one row of coefficients per frame.

    Args:
        points_px: ``[F, 68, 3]`` landmarks with depth, in pixels of the 256 px stabiliser crop.
        track: tells which frames show the face and where shots end; every shot is taken for a
            person of its own.
        basis: see there.

    Returns:
        Coefficients; zero in frames without a face. ``crop`` is the similarity that
        Deep3DFaceRecon would crop with, ``translation`` where the head's centre falls in that crop
        (x to the right and y up, in half sides) and the logarithm of its size there.
    """
    result = FaceCoefficients(
        scratch.zeros((len(track), NUM_EXPRESSION), np.float32),
        *(np.zeros((len(track), 3), np.float32) for _ in range(3)),
    )
    for shot in np.unique(track.shot_id[track.detected]):
        rows = np.flatnonzero(track.detected & (track.shot_id == shot))
        shapes = scratch.zeros((len(rows), 68, 3), np.float64)
        for block in scratch.blocks(len(rows)):
            frames = rows[block]
            points = np.asarray(points_px[frames], np.float64)
            pose = fit_pose(points, basis.mean_shape)
            crop = fit_recon_crop(points[..., :2], STABILISER_PX)
            shapes[block] = pose.normalise(points)
            result.angle[frames] = pose.angles_rad
            result.translation[frames] = _place_in_crop(pose, crop, basis.mean_shape)
            result.crop[frames] = crop
        neutral = basis.mean_shape + estimate_identity(shapes, basis)
        for block in scratch.blocks(len(rows)):
            result.expression[rows[block]] = basis.encode(shapes[block] - neutral)
    return result


def _place_in_crop(pose: HeadPose, crop: Float64Array, mean_shape: FloatArray) -> Float64Array:
    scale = crop[:, 0]
    up = STABILISER_PX - 1 - pose.center_px[:, 1]
    x = scale * (pose.center_px[:, 0] - crop[:, 1]) / (CROP_PX / 2)
    y = scale * (up - crop[:, 2]) / (CROP_PX / 2)
    usual = fit_recon_crop(mean_shape[None, :, :2], STABILISER_PX)[0, 0]
    return np.stack([x, y, np.log(scale * pose.scale_px / usual)], axis=1)
