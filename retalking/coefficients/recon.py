"""The 224 px crop that Deep3DFaceRecon reads, found by fitting five points of an average 3-D face.

``T`` counts the faces of a batch. Two conventions of that network are kept inside this file: ``y``
points up, and the size of a face is the average length of the rows of an affine camera.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from retalking.ibug68 import five_points_by_corners
from retalking.types import Float64Array, FloatArray, UInt8Array

CROP_PX = 224
_FACE_PX = 102.0  # size of a face in the crop
# Left eye, right eye, nose tip, mouth corners of similarity_Lm3D_all.mat (eyes: means of corners).
POINTS_3D: Float64Array = np.array(
    [
        (-0.31148657, 0.29036078, 0.13377953),
        (0.30979887, 0.28972036, 0.13179526),
        (0.0032535, -0.04617932, 0.55244243),
        (-0.25216928, -0.38133916, 0.22405732),
        (0.2484662, -0.38128236, 0.22235769),
    ]
)


def flip_up(landmarks_px: NDArray[np.floating], height_px: int) -> FloatArray:
    """Let ``y`` count upwards from the image's last row: float32 ``[..., 68, 2]``."""
    flipped = np.array(landmarks_px, dtype=np.float32)
    flipped[..., 1] = height_px - 1 - flipped[..., 1]
    return flipped


def fit_recon_crop(landmarks_px: NDArray[np.floating], height_px: int) -> Float64Array:
    """Fit the crop to landmarks: linear least squares of an affine camera onto the 3-D points.

    Args:
        landmarks_px: ``[T, 68, 2]`` in the iBUG order.
        height_px: of the image they were found in.

    Returns:
        float64 ``[T, 3]``: scale of the image; x and y (upwards) of the face's centre before
        scaling, in pixels. This is what ``FaceCoefficients.crop`` holds.
    """
    points = five_points_by_corners(flip_up(landmarks_px, height_px))
    homogeneous = np.concatenate([POINTS_3D, np.ones((len(POINTS_3D), 1))], axis=1)
    camera = np.linalg.pinv(homogeneous) @ points  # [T, 4, 2]: a column per image axis
    face_size = np.linalg.norm(camera[:, :3], axis=1).mean(axis=-1)
    return np.concatenate([(_FACE_PX / face_size)[:, None], camera[:, 3]], axis=1)


def crop_for_recon(image: UInt8Array, crop: NDArray[np.floating]) -> UInt8Array:
    """Scale an image and cut the network's square out of it; outside the image it is black.

    Args:
        image: uint8 ``[H, W, 3]``.
        crop: ``[3]``, a row of ``fit_recon_crop``.

    Returns:
        uint8 ``[224, 224, 3]``.
    """
    height, width = image.shape[:2]
    scale, x, y = (float(value) for value in crop)
    new_width, new_height = max(int(width * scale), 1), max(int(height * scale), 1)
    # Antialiased bicubic is the filter of Pillow, with which the network was trained.
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    scaled = interpolate(planes, (new_height, new_width), mode="bicubic", antialias=True)[0]
    left = int(new_width / 2 - CROP_PX / 2 + (x - width / 2) * scale)
    top = int(new_height / 2 - CROP_PX / 2 + (height / 2 - y) * scale)
    face = np.zeros((CROP_PX, CROP_PX, 3), dtype=np.uint8)
    rows = slice(max(top, 0), max(min(top + CROP_PX, new_height), 0))
    columns = slice(max(left, 0), max(min(left + CROP_PX, new_width), 0))
    part = scaled[:, rows, columns].permute(1, 2, 0).numpy()
    face[rows.start - top :, columns.start - left :][: part.shape[0], : part.shape[1]] = part
    return face
