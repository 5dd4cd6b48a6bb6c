"""Find 68 landmarks in 3D on the faces of a picture with the small embedded network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from models import weights
from models.landmarks import LandmarkNet
from retalking.face.landmark_crop import FaceCrop, crop_around_box, crop_around_landmarks, cut_crop
from retalking.face.picture import Box
from retalking.locations import LITE_WEIGHTS
from retalking.types import FloatArray, IntArray, UInt8Array

LITE_LANDMARKS_PATH = LITE_WEIGHTS / "landmarks.safetensors"
FOREHEAD = 0.2
"""Share of a face box that lies above the eyebrows, where the landmarks begin."""


class Landmarker(Protocol):
    """Finds landmarks from where a face is roughly known to be.

    Both methods take one picture ``[H, W, 3]`` with any number of faces, or one picture per face
    ``[N, H, W, 3]``. They return points ``[N, 68, 3]`` in pixels (z in the same scale, smaller is
    nearer, mean 0) and confidences ``[N]`` in [0, 1] that a face is there.
    """

    def predict(self, rgb: UInt8Array, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Start from face boxes ``[N, 4]``: hairline to chin, cheek to cheek."""
        ...

    def follow(self, rgb: UInt8Array, points_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Start from landmarks ``[N, 68, 2 or 3]`` of the frame before."""
        ...


@runtime_checkable
class NearSighted(Protocol):
    """A ``Landmarker`` that does not look at the whole picture when it follows faces."""

    def looks_at(self, points_px: FloatArray) -> list[Box]:
        """Boxes outside of which ``follow`` reads no pixel; they may reach beyond the picture."""
        ...


@runtime_checkable
class LooksAtSquares(Protocol):
    """A ``Landmarker`` that sees upright squares, which may be cut where its network runs."""

    @property
    def crop_px(self) -> int:
        """Side of the crops that ``read`` takes."""
        ...

    def squares(self, points_px: FloatArray) -> IntArray:
        """Where ``follow`` looks: ``[N, 4]``, x1 y1 x2 y2; zero beyond the picture."""
        ...

    def read(self, crops: torch.Tensor) -> torch.Tensor:
        """Apply the network to crops ``[N, 3, S, S]`` in 0..255, where they are: ``[N, 68, 3]``."""
        ...

    def place(self, found: FloatArray, points_px: FloatArray) -> FloatArray:
        """Return what ``follow`` would of what ``read`` found: points ``[N, 68, 2]``."""
        ...


class LiteLandmarker:
    """The landmark network with its crops; a ``Landmarker``, and ``NearSighted``."""

    def __init__(
        self, network: LandmarkNet, device: torch.device | str = "cpu", batch_size: int = 8
    ) -> None:
        network.to(memory_format=torch.channels_last)  # as the pictures are stored
        self._network = network.eval().to(device)
        self._device = torch.device(device)
        self._batch_size = batch_size

    @classmethod
    def from_file(
        cls, path: Path = LITE_LANDMARKS_PATH, device: torch.device | str = "cpu"
    ) -> LiteLandmarker:
        """Load the weights.

        Raises:
            WeightsError: the file is missing or does not fit.
        """
        return cls(weights.load(path, LandmarkNet), device)

    def predict(self, rgb: UInt8Array, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``Landmarker``. Three passes: a detector's box knows neither roll nor exact size."""
        return self._refine(rgb, [crop_around_box(box) for box in brow_boxes(boxes_px)], 3)

    def follow(self, rgb: UInt8Array, points_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``Landmarker``. One pass, enough for the motion between two frames."""
        return self._refine(rgb, [crop_around_landmarks(points) for points in points_px], 1)

    def looks_at(self, points_px: FloatArray) -> list[Box]:
        """See ``NearSighted``."""
        size_px = self._network.config.crop_size_px
        return [crop_around_landmarks(points).reach(size_px) for points in points_px]

    def glance(self, rgb: UInt8Array, crops: Sequence[FaceCrop]) -> tuple[FloatArray, FloatArray]:
        """Look once at given crops of one picture ``[H, W, 3]``."""
        return self._refine(rgb, list(crops), 1)

    @property
    def crop_px(self) -> int:
        """Side of the crops that ``read`` takes."""
        return self._network.config.crop_size_px

    def read(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Apply the network to crops ``[N, 3, S, S]`` in 0..255, where they are.

        Returns:
            Points ``[N, 68, 3]`` of ``FaceCrop.to_crop``, and logits ``[N]`` that a face is there.
        """
        with torch.autocast(crops.device.type, enabled=False):
            points, logits = self._network(crops / 255)
        return points, logits

    def _refine(
        self, rgb: UInt8Array, crops: list[FaceCrop], num_passes: int
    ) -> tuple[FloatArray, FloatArray]:
        pictures = rgb if rgb.ndim == 4 else np.broadcast_to(rgb, (len(crops), *rgb.shape))
        if len(pictures) != len(crops):
            raise ValueError(f"rgb: got {len(pictures)} pictures for {len(crops)} faces")
        points = np.zeros((len(crops), 68, 3), np.float32)
        confidence = np.zeros(len(crops), np.float32)
        for num_pass in range(num_passes):
            if num_pass:
                crops = [crop_around_landmarks(face) for face in points]
            for first in range(0, len(crops), self._batch_size):
                rows = slice(first, first + self._batch_size)
                points[rows], confidence[rows] = self._run(pictures[rows], crops[rows])
        return points, confidence

    @torch.inference_mode()
    def _run(self, pictures: UInt8Array, crops: list[FaceCrop]) -> tuple[FloatArray, FloatArray]:
        size_px = self._network.config.crop_size_px
        patches = np.stack(
            [cut_crop(rgb, crop, size_px) for rgb, crop in zip(pictures, crops, strict=True)]
        )
        inputs = torch.from_numpy(patches).to(self._device).permute(0, 3, 1, 2).float()
        points, logits = self.read(inputs)
        flat = points.float().cpu().numpy()
        placed = [crop.to_picture(face) for face, crop in zip(flat, crops, strict=True)]
        return np.stack(placed), logits.float().sigmoid().cpu().numpy()


def brow_boxes(boxes_px: FloatArray) -> FloatArray:
    """Cut the forehead off face boxes ``[N, 4]``: what remains is the extent of the landmarks."""
    lowered = boxes_px.astype(np.float32, copy=True)
    lowered[:, 1] += FOREHEAD * (boxes_px[:, 3] - boxes_px[:, 1])
    return lowered


def face_boxes(points_px: FloatArray) -> FloatArray:
    """Return face boxes ``[N, 4]``, hairline to chin, of landmarks ``[N, 68, 2 or 3]``."""
    flat = points_px[..., :2]
    low, high = flat.min(-2), flat.max(-2)
    low[..., 1] -= FOREHEAD / (1 - FOREHEAD) * (high[..., 1] - low[..., 1])
    return np.concatenate([low, high], axis=-1).astype(np.float32)
