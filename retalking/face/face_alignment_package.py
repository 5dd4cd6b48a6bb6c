"""The face analysis of public networks: S3FD or RetinaFace, and FAN of the face-alignment package.

Faces are found by our own S3FD, which takes the file that the package loads, in one pass and
without the package's loops over candidates; or by RetinaFace, at a third of S3FD's arithmetic. FAN
is the package's network; around it, faces go in batches and heatmaps stay on the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from face_alignment import FaceAlignment, LandmarksType
from face_alignment.models import FAN
from face_alignment.utils import (
    CENTER_Y_OFFSET,
    HEATMAP_RESOLUTION,
    REFERENCE_SCALE,
    SCALE_FACTOR,
    crop,
    transform,
)
from torch import Tensor

from models.weights import load_any
from retalking.face.landmarks import face_boxes
from retalking.locations import CHECKPOINTS
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array
from retalking.weights import catalogue
from third_party.retinaface import RetinaFace
from third_party.s3fd import S3FD

_SEEN_PX = 256
_DETECTORS: dict[str, type[S3FD] | type[RetinaFace]] = {"S3FD": S3FD, "RetinaFace": RetinaFace}


def weight_paths(
    kind: Literal["official", "retinaface"], folder: Path = CHECKPOINTS
) -> tuple[Path, ...]:
    """Return where the files of the detector and of the landmark network are.

    Raises:
        WeightsError: a file is missing; the package itself would start a download.
    """
    return tuple(catalogue.find(name, folder) for name in catalogue.FACE_ANALYSIS_WEIGHTS[kind])


class NetworkDetector:
    """One of the two networks as a ``FaceDetector``."""

    def __init__(self, network: S3FD | RetinaFace) -> None:
        """Take a loaded network, where it is to run."""
        self._network = network.eval()

    @classmethod
    def from_file(
        cls, kind: Literal["official", "retinaface"], path: Path, device: torch.device
    ) -> NetworkDetector:
        """Load the detector of a kind of face analysis.

        Raises:
            WeightsError: the file is missing or does not fit.
        """
        name = catalogue.FACE_ANALYSIS_WEIGHTS[kind][0]
        return cls(load_any(path, _DETECTORS[name], name).to(device))

    def detect(self, rgb: UInt8Array, known_px: FloatArray | None = None) -> FloatArray:
        """See ``FaceDetector``; every look is thorough."""
        (faces,) = self._network.detect(rgb[None])
        return faces.boxes_px


class FanLandmarker:
    """FAN as a ``Landmarker``, and ``LooksAtSquares``."""

    crop_px = _SEEN_PX

    def __init__(self, network: FAN, device: torch.device) -> None:
        """Take a loaded network, where it is to run."""
        self._network, self._device = network, device

    @classmethod
    def from_package(cls, device: torch.device) -> FanLandmarker:
        """Load the package's network; its file must be where ``weight_paths`` looks.

        The package loads a detector too; this one, which reads boxes from files, has no weights.
        """
        package: Any = FaceAlignment(
            LandmarksType.TWO_D,
            device=str(device),
            flip_input=False,
            face_detector="folder",
            compile=False,
        )
        return cls(package.face_alignment_net, device)

    def predict(self, rgb: UInt8Array, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``Landmarker``; depth is 0, and confidence the mean height of the heatmaps.

        All faces are one batch. Points are whole pixels: the package's behaviour kept.
        """
        points = np.zeros((len(boxes_px), 68, 3), dtype=np.float32)
        if not len(boxes_px):
            return points, np.zeros(0, dtype=np.float32)
        pictures = rgb if rgb.ndim == 4 else np.broadcast_to(rgb, (len(boxes_px), *rgb.shape))
        places = [_place_of(box) for box in boxes_px]
        crops = [crop(picture, *place) for picture, place in zip(pictures, places, strict=True)]
        seen = torch.from_numpy(np.stack(crops)).to(self._device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            peaks: FloatArray = self.read(seen).cpu().numpy()
        points[..., :2] = _to_picture(peaks, places)
        return points, peaks[..., 2].mean(axis=1).clip(0, 1)

    def follow(self, rgb: UInt8Array, points_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``Landmarker``."""
        return self.predict(rgb, face_boxes(points_px))

    def squares(self, points_px: FloatArray) -> IntArray:
        """See ``LooksAtSquares``; the package's rounding kept."""
        places = [_place_of(box) for box in face_boxes(points_px)]
        ends = ((1, 1), (_SEEN_PX, _SEEN_PX))
        return np.array(
            [
                [side for end in ends for side in transform(end, *place, _SEEN_PX, True).tolist()]
                for place in places
            ]
        )

    def read(self, crops: Tensor) -> Tensor:
        """See ``LooksAtSquares``: ``find_peaks`` of the heatmaps."""
        with torch.autocast(crops.device.type, enabled=False):
            return find_peaks(self._network(crops / 255)[-1])

    def place(self, found: FloatArray, points_px: FloatArray) -> FloatArray:
        """See ``LooksAtSquares``."""
        return _to_picture(found, [_place_of(box) for box in face_boxes(points_px)])


def find_peaks(heatmaps: Tensor) -> Tensor:
    """Find the highest point of heatmaps, a quarter of a pixel towards its higher neighbours.

    Args:
        heatmaps: ``[N, P, S, S]``.

    Returns:
        float32 ``[N, P, 3]``: x and y, half a pixel being the middle of the first, and the height.
    """
    side_px = heatmaps.shape[-1]
    flat = heatmaps.float().flatten(2)
    height, index = flat.max(dim=2)
    x, y = index % side_px, index // side_px

    def slope(step: int) -> Tensor:
        ahead, behind = (
            flat.gather(2, (index + shift).clamp(0, side_px**2 - 1)[..., None])[..., 0]
            for shift in (step, -step)
        )
        return (ahead - behind).sign()

    inside = (x > 0) & (x < side_px - 1) & (y > 0) & (y < side_px - 1)
    moved = torch.where(inside, 0.25, 0.0)
    place = (x + 0.5 + moved * slope(1), y + 0.5 + moved * slope(side_px))
    return torch.stack((*place, height), dim=2)


def _place_of(box_px: FloatArray) -> tuple[Float64Array, float]:
    """Centre, and side in 200 px, of the square of a face box, as the package cuts it."""
    x1, y1, x2, y2 = box_px.tolist()
    width, height = x2 - x1, y2 - y1
    center = np.array([x2 - width / 2, y2 - height / 2 - height * CENTER_Y_OFFSET])
    return center, (width + height) / REFERENCE_SCALE


def _to_picture(peaks: FloatArray, places: list[tuple[Float64Array, float]]) -> FloatArray:
    """Bring peaks ``[N, P, 3]`` of heatmaps into the picture, down to whole pixels: 2 columns."""
    centers = np.array([center for center, _ in places])[:, None]
    sides_px = SCALE_FACTOR * np.array([scale for _, scale in places])[:, None, None]
    points = (peaks[..., :2] / HEATMAP_RESOLUTION - 0.5).astype(np.float64) * sides_px + centers
    return np.trunc(points).astype(np.float32)
