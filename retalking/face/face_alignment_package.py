"""The face analysis of the paper's code: S3FD and FAN of the face-alignment package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from face_alignment import FaceAlignment, LandmarksType

from retalking.face.landmarks import face_boxes
from retalking.types import FloatArray, UInt8Array
from retalking.weights import catalogue


def weight_paths() -> tuple[Path, ...]:
    """Return where the detector's and the landmark network's files are.

    Raises:
        WeightsError: a file is missing; the package itself would start a download.
    """
    return tuple(catalogue.find(name) for name in catalogue.FACE_ALIGNMENT_WEIGHTS)


class FaceAlignmentAnalyser:
    """A ``FaceDetector`` and a ``Landmarker`` in one, since the package loads both together."""

    def __init__(self, device: torch.device) -> None:
        """Load the package's networks from files that are already here.

        Raises:
            WeightsError: a file is missing.
        """
        s3fd, _ = weight_paths()
        self._networks: Any = FaceAlignment(
            LandmarksType.TWO_D,
            device=str(device),
            flip_input=False,
            face_detector_kwargs={"path_to_detector": str(s3fd)},
            compile=False,
        )

    def detect(self, rgb: UInt8Array) -> FloatArray:
        """See ``FaceDetector``."""
        found = self._networks.face_detector.detect_from_image(rgb.copy())
        boxes = np.asarray(found, dtype=np.float32).reshape(-1, 5)
        return boxes[np.argsort(-boxes[:, 4]), :4]

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
