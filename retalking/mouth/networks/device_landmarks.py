"""Following landmarks into pictures that are on the device; only the points come down."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from retalking.face.affine import invert_affine
from retalking.face.landmark_crop import crop_around_landmarks
from retalking.face.landmarks import LiteLandmarker, LooksAtSquares
from retalking.networks.run import Run
from retalking.networks.runner import Runner
from retalking.rendering.on_device.warping import resample, resized, resizing_taps
from retalking.types import FloatArray

DeviceLandmarker = LiteLandmarker | LooksAtSquares


def follow(
    runner: Runner, run: Run, landmarker: DeviceLandmarker, pictures: Tensor, starts: FloatArray
) -> FloatArray:
    """``Landmarker.follow`` of pictures, one face in each.

    Args:
        runner: brings numbers up and down.
        run: runs the network on tensors that stay where they are.
        landmarker: where the pictures are.
        pictures: float32 ``[A, 3, H, W]`` in 0..255, whole numbers.
        starts: float32 ``[A, 68, 2]``.

    Returns:
        float32 ``[A, 68, 2 or 3]``.
    """
    if isinstance(landmarker, LiteLandmarker):
        return _follow_turned(runner, run, landmarker, pictures, starts)
    taps = torch.from_numpy(resizing_taps(landmarker.squares(starts), landmarker.crop_px))
    found = run(landmarker.read, resized(pictures, runner.send(taps)))
    return landmarker.place(runner.fetch(found).numpy(), starts)


def _follow_turned(
    runner: Runner, run: Run, landmarker: LiteLandmarker, pictures: Tensor, starts: FloatArray
) -> FloatArray:
    size, crops = landmarker.crop_px, [crop_around_landmarks(points) for points in starts]
    to_crops = invert_affine(np.stack([crop.from_crop(size) for crop in crops]))
    seen = resample(pictures, to_crops, (size, size), rounds=True)
    found = run(landmarker.read, seen, forward=lambda batch: landmarker.read(batch)[0])
    points = runner.fetch(found).numpy()
    placed = [crop.to_picture(face) for crop, face in zip(crops, points, strict=True)]
    return np.stack(placed).astype(np.float32, copy=False)
