"""CSIM: is the person of the result still the one of the source, by ArcFace (Deng et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import weights
from retalking.face.affine import fit_similarity
from retalking.face.crops import warp
from retalking.ibug68 import five_points
from retalking.media.images import to_tensor
from retalking.metrics.means import FrameMetric
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity
from retalking.types import FloatArray, UInt8Array
from retalking.weights import catalogue
from third_party.arcface import ARCFACE_POINTS_112, ARCFACE_PX, ArcFace

Embed = Callable[[Tensor], Tensor]
"""Aligned faces RGB ``[B, 3, 112, 112]`` in [-1, 1] to unit vectors ``[B, D]``."""


def load_arcface(given: Mapping[str, Path], device: torch.device) -> ArcFace:
    """Load ArcFace's iresnet50.

    Raises:
        WeightsError: the file is not there, or does not fit.
    """
    network = weights.load_any(catalogue.find("ArcFace", given=given), ArcFace, "ArcFace")
    return network.requires_grad_(False).to(device)


class IdentitySimilarity(FrameMetric):
    """Cosine similarity of the faces in result and source, mean over frames with both.

    Args:
        embed: such as ``load_arcface(...).embed``.
        device: where faces are sent.
    """

    needs: frozenset[Need] = frozenset({"source", "result_track", "source_track"})

    def __init__(self, embed: Embed, device: torch.device) -> None:
        super().__init__(Quantity("csim", "", "higher", note="with the source's face"))
        self._embed = embed
        self._device = device

    @torch.inference_mode()
    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        """Compare the frames in which both faces are seen."""
        result, source = clip.result_track, clip.source_track
        assert chunk.source is not None
        assert result is not None
        assert source is not None
        end = min(chunk.start + len(chunk.result), len(result), len(source))
        rows = np.arange(chunk.start, end)
        rows = rows[result.detected[rows] & source.detected[rows]]
        if len(rows) == 0:
            return []
        faces = [
            align_face(frames[row - chunk.start], track.landmarks_px[row])
            for frames, track in ((chunk.result, result), (chunk.source, source))
            for row in rows
        ]
        ours, theirs = self._embed(to_tensor(np.stack(faces), self._device) * 2 - 1).chunk(2)
        return (ours * theirs).sum(1).tolist()


def align_face(rgb: UInt8Array, landmarks_px: FloatArray) -> UInt8Array:
    """Cut the face of landmarks ``[68, 2]`` as ArcFace expects it, ``[112, 112, 3]``."""
    matrix = fit_similarity(five_points(landmarks_px), np.array(ARCFACE_POINTS_112))
    return warp(rgb, matrix, (ARCFACE_PX, ARCFACE_PX))
