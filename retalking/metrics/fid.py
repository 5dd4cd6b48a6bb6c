"""Fréchet inception distance (Heusel et al. 2017) of full frames.

The frames of the results and those of the sources are two sets; every set is reduced to mean and
covariance of its features. A few frames are kept as features, since a clip has fewer frames than a
covariance has rows; more are kept as sums of float64, so that states stay small however long a set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import weights
from retalking.media.images import to_tensor
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity, State
from retalking.types import Float64Array, FloatArray, UInt8Array
from retalking.weights import catalogue
from third_party.inception import FidInception

_BATCH = 50
_SIDES = ("result", "source")

Describe = Callable[[Tensor], Tensor]
"""Pictures ``[B, 3, H, W]`` in [0, 1] to features ``[B, D]``."""


def load_inception(given: Mapping[str, Path], device: torch.device) -> FidInception:
    """Load pytorch-fid's weights.

    Raises:
        WeightsError: the file is not there, or another one.
    """
    network = FidInception()
    weights.load_official(network, "inception", catalogue.find("inception", given=given))
    return network.eval().requires_grad_(False).to(device)


class Fid:
    """Distance of the results' frames from the sources'.

    Args:
        describe: the feature network, :func:`load_inception`'s for values to compare with others.
        device: where pictures are sent.
    """

    quantities = (Quantity("fid", "", "lower", per_clip=False, note="full frames"),)
    needs: frozenset[Need] = frozenset({"source"})

    def __init__(self, describe: Describe, device: torch.device) -> None:
        self._describe = describe
        self._device = device

    def start(self, clip: Clip) -> FidMeter:
        """Begin a clip."""
        return FidMeter(self.describe_frames)

    @torch.inference_mode()
    def describe_frames(self, rgb: UInt8Array) -> FloatArray:
        """Features float32 ``[T, D]`` of frames ``[T, H, W, 3]``."""
        rows = [
            self._describe(to_tensor(rgb[first : first + _BATCH], self._device)).float().cpu()
            for first in range(0, len(rgb), _BATCH)
        ]
        return torch.cat(rows).numpy()

    def merge(self, first: State, second: State) -> State:
        """Join both sets of each side."""
        return {
            f"{side}_{name}": value
            for side in _SIDES
            for name, value in join(_of(side, first), _of(side, second)).items()
        }

    def values(self, state: State) -> dict[str, float]:
        """Return the distance; NaN for sets of fewer than two frames."""
        results, sources = (_of(side, state) for side in _SIDES)
        return {"fid": frechet_distance(*moments(results), *moments(sources))}


class FidMeter:
    """Features of one clip."""

    def __init__(self, describe: Callable[[UInt8Array], FloatArray]) -> None:
        self._describe = describe
        self._sets: list[State | None] = [None, None]

    def add(self, chunk: ClipChunk) -> None:
        """Take the next frames of both sides."""
        assert chunk.source is not None
        for index, rgb in enumerate((chunk.result, chunk.source)):
            part = feature_set(self._describe(rgb))
            known = self._sets[index]
            self._sets[index] = part if known is None else join(known, part)

    def finish(self) -> State:
        """Return both sets."""
        sets = [
            feature_set(np.zeros((0, 1), np.float32)) if part is None else part
            for part in self._sets
        ]
        return {
            f"{side}_{name}": value
            for side, part in zip(_SIDES, sets, strict=True)
            for name, value in part.items()
        }


def feature_set(rows: FloatArray) -> State:
    """Return a set of features ``[N, D]`` that can be joined with others."""
    zero = np.zeros(())
    return {"rows": rows, "count": zero, "sum": zero, "outer": zero}


def join(first: State, second: State) -> State:
    """Join two sets; rows beyond the number of features become sums."""
    rows = [part["rows"] for part in (first, second) if len(part["rows"])]
    joined = {name: first[name] + second[name] for name in ("count", "sum", "outer")}
    together = np.concatenate(rows) if rows else first["rows"]
    if len(together) > together.shape[1]:
        exact = together.astype(np.float64)
        joined["count"] = joined["count"] + len(exact)
        joined["sum"] = joined["sum"] + exact.sum(axis=0)
        joined["outer"] = joined["outer"] + exact.T @ exact
        together = together[:0]
    return {"rows": together, **joined}


def moments(features: State) -> tuple[Float64Array, Float64Array]:
    """Return mean ``[D]`` and covariance ``[D, D]``, NaN for fewer than two rows."""
    rows = features["rows"].astype(np.float64)
    count = float(features["count"]) + len(rows)
    if count < 2:
        size = rows.shape[1]
        return np.full(size, np.nan), np.full((size, size), np.nan)
    mean = (features["sum"] + rows.sum(axis=0)) / count
    outer = features["outer"] + rows.T @ rows
    return mean, (outer - count * np.outer(mean, mean)) / (count - 1)


def frechet_distance(
    mean_a: Float64Array,
    covariance_a: Float64Array,
    mean_b: Float64Array,
    covariance_b: Float64Array,
) -> float:
    """Squared Fréchet distance of two Gaussians; NaN if one of them is.

    ``|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2))``. With ``A = P P'`` and ``B = Q Q'`` the last trace
    is the sum of the singular values of ``P' Q``, which stays exact where sets are smaller than
    their features and covariances therefore singular.
    """
    if not (np.isfinite(covariance_a).all() and np.isfinite(covariance_b).all()):
        return float("nan")
    root_a, root_b = _root(covariance_a), _root(covariance_b)
    shared = np.linalg.svd(root_a.T @ root_b, compute_uv=False).sum()
    apart = np.square(mean_a - mean_b).sum()
    return float(apart + np.trace(covariance_a) + np.trace(covariance_b) - 2 * shared)


def _root(covariance: Float64Array) -> Float64Array:
    """A matrix whose product with its transpose is the covariance."""
    spreads, directions = np.linalg.eigh(covariance)
    noise = len(spreads) * np.finfo(np.float64).eps * spreads[-1]
    root: Float64Array = directions * np.sqrt(np.where(spreads > noise, spreads, 0))
    return root


def _of(side: str, state: State) -> State:
    prefix = f"{side}_"
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
