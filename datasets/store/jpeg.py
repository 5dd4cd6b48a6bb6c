"""JPEG compression through which gradients flow (after Shin and Song, 2017)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 8
# Annex K of the JPEG standard (ITU-T T.81).
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


def compress(pictures: Tensor, quality: Tensor) -> Tensor:
    """Return pictures as they look after JPEG compression without chroma subsampling.

    Args:
        pictures: ``[B, 3, H, W]`` RGB in [0, 1].
        quality: ``[B]`` in [1, 100], the scale of libjpeg.

    Returns:
        ``[B, 3, H, W]`` in [0, 1].
    """
    height, width = pictures.shape[2:]
    padding = (0, -width % _BLOCK, 0, -height % _BLOCK)
    padded = F.pad(pictures, padding, mode="replicate") if any(padding) else pictures
    to_ycc = pictures.new_tensor(_TO_YCC)
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, padded * 255)
    ycc = ycc - pictures.new_tensor([128.0, 0.0, 0.0]).view(1, 3, 1, 1)

    rows, columns = ycc.shape[2] // _BLOCK, ycc.shape[3] // _BLOCK
    blocks = ycc.view(len(ycc), 3, rows, _BLOCK, columns, _BLOCK).transpose(3, 4)
    dct = _dct_matrix(pictures)
    steps = quantisation_steps(pictures, quality)[:, :, None, None]
    kept = _round(dct @ blocks @ dct.T / steps) * steps
    restored = (dct.T @ kept @ dct).transpose(3, 4).reshape(ycc.shape)

    restored = restored + pictures.new_tensor([128.0, 0.0, 0.0]).view(1, 3, 1, 1)
    rgb = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), restored) / 255
    return rgb[:, :, :height, :width].clamp(0, 1)


def quantisation_steps(pictures: Tensor, quality: Tensor) -> Tensor:
    """Return ``[B, 3, 8, 8]``: the standard's tables, scaled by quality as libjpeg does."""
    tables = pictures.new_tensor([_LUMA, _CHROMA, _CHROMA])
    quality = quality.to(pictures).clamp(1, 100)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()
    return ((tables * percent.view(-1, 1, 1, 1) + 50) / 100).floor().clamp(1, 255)


def _dct_matrix(pictures: Tensor) -> Tensor:
    n = torch.arange(_BLOCK, device=pictures.device, dtype=pictures.dtype)
    matrix = torch.cos(math.pi / _BLOCK * (n + 0.5) * n[:, None]) * math.sqrt(2 / _BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def _round(values: Tensor) -> Tensor:
    """Round, with the gradient of a cubic that is flat at the whole numbers."""
    whole = values.detach().round()
    cubic = (values - whole) ** 3
    return whole + cubic - cubic.detach()
