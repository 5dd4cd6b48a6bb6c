"""Measures on crops of faces: likeness, sharpness and restlessness. ``A`` counts faces."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.blocks.lower_half import lower_half
from retalking.media.images import to_tensor
from retalking.metrics.image_quality import psnr
from retalking.types import BoolArray, Float64Array, IntArray, UInt8Array

_GREY = (0.299, 0.587, 0.114)


def lower_psnr_db(output: Tensor, target: Tensor) -> Float64Array:
    """Peak signal-to-noise ratio of the half that is inpainted, face by face.

    Args:
        output: ``[A, 3, S, S]`` in [0, 1].
        target: like ``output``.

    Returns:
        float64 ``[A]`` in dB, 100 for halves that are the same.
    """
    pairs = zip(lower_half(output).split(1), lower_half(target).split(1), strict=True)
    return np.array([float(psnr(*pair)) for pair in pairs])


def sharpness(faces: Tensor) -> Float64Array:
    """Mean gradient magnitude of the grey picture: float64 ``[A]`` of ``[A, 3, S, S]``."""
    grey = torch.einsum("achw,c->ahw", faces, faces.new_tensor(_GREY))
    across, down = grey[:, :-1].diff(dim=2), grey[:, :, :-1].diff(dim=1)
    return torch.hypot(across, down).mean(dim=(1, 2), dtype=torch.float64).cpu().numpy()


def laplacian_levels(pictures: UInt8Array) -> float:
    """Mean absolute Laplacian of the grey pictures ``[N, H, W, 3]``, in levels: the judge's eye."""
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    return float(np.mean([np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean() for grey in greys]))


class Likeness:
    """Collects how near the faces of a clip are to the true ones, and how sharp.

    ``lower_psnr_db`` is of L-Net's small picture. With E-Net: ``sharpness`` is the mean gradient of
    its whole face over the true one's, ``lower_sharpness`` that of the half that is inpainted, and
    ``enet_gain_db`` the PSNR of that half above that of L-Net's picture enlarged bicubically.
    """

    def __init__(self, has_enet: bool) -> None:
        self._has_enet = has_enet
        self._found: dict[str, list[Float64Array]] = {}

    def add(self, faces: UInt8Array, true: UInt8Array, low_res: Tensor) -> None:
        """Add faces ``[A, 384, 384, 3]`` and L-Net's pictures of them ``[A, 3, 96, 96]``, RGB."""
        made, target = to_tensor(faces), to_tensor(true)
        small = interpolate(target, low_res.shape[2:], mode="area")
        self._note("small", lower_psnr_db(low_res, small))
        if not self._has_enet:
            return
        size = target.shape[2:]
        bicubic = interpolate(low_res, size, mode="bicubic", align_corners=False).clamp(0, 1)
        self._note("bicubic", lower_psnr_db(bicubic, target))
        self._note("enet", lower_psnr_db(made, target))
        for name, picture in (("made", made), ("true", target)):
            self._note(name, sharpness(picture))
            self._note(f"lower {name}", sharpness(lower_half(picture)))

    def scores(self) -> dict[str, float]:
        """Return the measures of all faces by name."""
        mean = {name: float(np.concatenate(parts).mean()) for name, parts in self._found.items()}
        scores = {"lower_psnr_db": mean["small"]}
        if self._has_enet:
            scores["sharpness"] = mean["made"] / max(mean["true"], 1e-6)
            scores["lower_sharpness"] = mean["lower made"] / max(mean["lower true"], 1e-6)
            scores["enet_gain_db"] = mean["enet"] - mean["bicubic"]
        return scores

    def _note(self, name: str, values: Float64Array) -> None:
        self._found.setdefault(name, []).append(values)


class Restlessness:
    """Change from frame to frame, of dubbed faces over that of the true ones.

    Faces are compared where a crop holds them, so the motion of the head does not count, and only
    where the edit shows: the rest of a frame would hide what flickers. ``steadiness.Flicker`` looks
    at the whole video instead.
    """

    def __init__(self, region: BoolArray) -> None:
        """Look at a region ``[S, S]`` of the crops."""
        self._region = region
        self._change = np.zeros(2)
        self._last: tuple[int, UInt8Array] | None = None

    def add(self, dubbed: UInt8Array, true: UInt8Array, numbers: IntArray) -> None:
        """Add faces ``[A, S, S, 3]`` of frames ``[A]``, increasing; neighbours are compared."""
        for number, *faces in zip(numbers.tolist(), dubbed, true, strict=True):
            pixels = np.stack([face[self._region] for face in faces])
            if self._last is not None and self._last[0] == number - 1:
                difference = pixels.astype(np.int16) - self._last[1]
                self._change += np.abs(difference).mean(axis=(1, 2))
            self._last = (number, pixels)

    @property
    def ratio(self) -> float:
        """Dubbed over true."""
        dubbed, true = self._change
        return float(dubbed / max(float(true), 1e-6))
