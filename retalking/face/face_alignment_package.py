"""The face analysis of public networks: S3FD or RetinaFace, and FAN of the face-alignment package.

Faces are found by our own S3FD, which takes the file that the package loads, in one pass and
without the package's loops over candidates; or by RetinaFace, at a third of S3FD's arithmetic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from face_alignment import FaceAlignment, LandmarksType

from models.weights import load_any
from retalking.face.landmarks import face_boxes
from retalking.locations import CHECKPOINTS
from retalking.types import FloatArray, UInt8Array
from retalking.weights import catalogue
from third_party.retinaface import RetinaFace
from third_party.s3fd import S3FD

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
    """FAN as a ``Landmarker``."""

    def __init__(self, device: torch.device) -> None:
        """Load the package's network; its file must be where ``weight_paths`` looks.

        The package loads a detector too; this one, which reads boxes from files, has no weights.
        """
        self._networks: Any = FaceAlignment(
            LandmarksType.TWO_D,
            device=str(device),
            flip_input=False,
            face_detector="folder",
            compile=False,
        )

    def predict(self, rgb: UInt8Array, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``Landmarker``; depth is 0, and confidence the mean height of the heatmaps."""
        points = np.zeros((len(boxes_px), 68, 3), dtype=np.float32)
        confidence = np.zeros(len(boxes_px), dtype=np.float32)
        for row, box in enumerate(boxes_px):
            picture = rgb[row] if rgb.ndim == 4 else rgb
            landmarks, scores, _ = self._networks.get_landmarks_from_image(
                picture, [np.append(box, 1.0)], return_landmark_score=True
            )
            points[row, :, :2] = landmarks[0]
            confidence[row] = float(np.clip(np.mean(scores[0]), 0, 1))
        return points, confidence

    def follow(self, rgb: UInt8Array, points_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``Landmarker``."""
        return self.predict(rgb, face_boxes(points_px))
