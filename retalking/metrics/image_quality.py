"""How near the result's frames are to the true ones: PSNR, SSIM and LPIPS, means over frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from retalking.media.images import to_tensor
from retalking.metrics.means import FrameMetric
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity

_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2

Compare = Callable[[Tensor, Tensor], Tensor]
"""Two batches of pictures ``[B, 3, H, W]`` in [0, 1] to a scalar, the mean over the batch."""


class TrueFrameMetric(FrameMetric):
    """Compares each frame of the result with the true one."""

    needs: frozenset[Need] = frozenset({"truth"})

    def __init__(self, quantity: Quantity, compare: Compare, device: torch.device) -> None:
        super().__init__(quantity)
        self._compare = compare
        self._device = device

    @torch.inference_mode()
    def score(self, clip: Clip, chunk: ClipChunk) -> list[float]:
        """Compare frame by frame, so that large frames need little memory."""
        assert chunk.truth is not None
        return [
            float(self._compare(*(to_tensor(rgb[None], self._device) for rgb in pair)))
            for pair in zip(chunk.result, chunk.truth, strict=True)
        ]


def psnr_metric(device: torch.device) -> TrueFrameMetric:
    """Peak signal-to-noise ratio; see :func:`psnr`."""
    return TrueFrameMetric(Quantity("psnr", "dB", "higher"), psnr, device)


def ssim_metric(device: torch.device) -> TrueFrameMetric:
    """Structural similarity; see :func:`ssim`."""
    return TrueFrameMetric(Quantity("ssim", "", "higher"), ssim, device)


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, averaged over the batch.

    Args:
        output: ``[B, C, H, W]`` in [0, 1].
        target: like ``output``.

    Returns:
        A scalar; 100 for pictures that are the same.
    """
    errors = (output.float() - target.float()).square().flatten(1).mean(1)
    return (-10 * errors.clamp(min=1e-10).log10()).mean()


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), averaged over channels, windows and pictures.

    Windows are Gaussians of 11 px and stay inside the picture.

    Args:
        output: ``[B, C, H, W]`` in [0, 1], at least 11 px wide and high.
        target: like ``output``.

    Returns:
        A scalar in [-1, 1].
    """
    x, y = output.float().flatten(0, 1)[:, None], target.float().flatten(0, 1)[:, None]
    offsets = torch.arange(_WINDOW_PX, device=x.device, dtype=torch.float32) - _WINDOW_PX // 2
    weights = torch.softmax(-offsets.square() / (2 * _SIGMA_PX**2), dim=0)
    kernel = torch.outer(weights, weights)[None, None]
    mean_x, mean_y, square_x, square_y, product = (
        F.conv2d(value, kernel) for value in (x, y, x * x, y * y, x * y)
    )
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    covariance = product - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return (similarity / ((mean_x.square() + mean_y.square() + _C1) * (variances + _C2))).mean()
