"""Spectral norm (Miyato et al. 2018) with the parameter names of PyTorch's first version.

The official L-Net stores ``weight_orig`` and the power-iteration vectors ``weight_u`` and
``weight_v``. PyTorch's hook keeps the normalised weight as a plain attribute, which breaks
``copy.deepcopy`` (needed for an averaged copy); a module of our own does not.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-12

Network = TypeVar("Network", bound=nn.Module)


class SpectralNormConv2d(nn.Module):
    """2-D convolution whose weight is divided by an estimate of its largest singular value.

    One step of power iteration per forward pass in training mode, none in evaluation mode.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        plain = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.stride, self.padding = stride, padding
        self.weight_orig = nn.Parameter(plain.weight.detach().clone())
        self.bias = plain.bias
        num_taps = in_channels * kernel_size**2
        self.register_buffer("weight_u", F.normalize(torch.randn(out_channels), dim=0, eps=_EPS))
        self.register_buffer("weight_v", F.normalize(torch.randn(num_taps), dim=0, eps=_EPS))
        for _ in range(15):
            self._iterate()

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight_orig.flatten(1)
        self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=_EPS))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=_EPS))

    def normalised_weight(self) -> Tensor:
        """Return the weight ``[O, C, k, k]`` that convolves."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            if self.training:
                self._iterate()
            # Clones, because the next forward pass overwrites what this one's backward needs.
            left, right = self.weight_u.clone(), self.weight_v.clone()
            sigma = torch.dot(left, self.weight_orig.flatten(1) @ right)
            return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[B, C, H, W]``."""
        return F.conv2d(x, self.normalised_weight(), self.bias, self.stride, self.padding)

    def fold(self) -> nn.Conv2d:
        """Return an equal plain convolution; the normalisation is done once."""
        num_out, num_in, kernel_size, _ = self.weight_orig.shape
        weight = self.weight_orig
        plain = nn.Conv2d(
            num_in,
            num_out,
            kernel_size,
            self.stride,
            self.padding,
            device=weight.device,
            dtype=weight.dtype,
        )
        training, self.training = self.training, False
        with torch.no_grad():
            plain.weight.copy_(self.normalised_weight())
            if self.bias is not None and plain.bias is not None:
                plain.bias.copy_(self.bias)
        self.training = training
        return plain.train(training)


def weight_of(conv: nn.Conv2d | SpectralNormConv2d) -> Tensor:
    """Return the weight ``[O, C, k, k]`` that a convolution of either kind uses next."""
    return conv.weight if isinstance(conv, nn.Conv2d) else conv.normalised_weight()


def fold_spectral_norm(network: Network) -> Network:
    """Replace every spectral-norm convolution inside ``network`` by an equal plain one.

    For inference: saves the division per call. The state dict then has other keys than the
    official checkpoint, so load first and do not save afterwards.

    Returns:
        The network itself.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, SpectralNormConv2d):
                setattr(module, name, child.fold())
    return network
