"""Fast Fourier convolution (Chi et al. 2020; LaMa, Suvorov et al. 2021) with AdaIN.

A quarter of the channels is local and sees 3x3 neighbourhoods, the rest is global and also passes
through a convolution in the frequency domain, whose receptive field is the whole picture.

Legend: ``B`` batch, ``L`` local channels, ``G`` global channels, ``C = L + G``, ``D`` descriptor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.fourier import from_spectrum, to_spectrum
from models.blocks.layers import AdaIN


class FourierUnit(nn.Module):
    """1x1 convolution, batch norm and ReLU on the real and imaginary parts of the spectrum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``[B, C, H, W]``."""
        # FFT knows no bfloat16, and half precision only for powers of two.
        planes = to_spectrum(x.float()).to(x.dtype)
        planes = F.relu(self.bn(self.conv_layer(planes)))
        height, width = x.shape[-2:]
        return from_spectrum(planes.float(), (height, width)).to(x.dtype)


class SpectralTransform(nn.Module):
    """Fourier unit between two 1x1 convolutions at half the width, with a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True)
        )
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, G, H, W]`` to the same shape."""
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))


class FFC(nn.Module):
    """Convolution that exchanges information between local and global channels."""

    def __init__(self, local_channels: int, global_channels: int) -> None:
        super().__init__()
        self.local_channels = local_channels
        self.convl2l = nn.Conv2d(local_channels, local_channels, 3, bias=False)
        self.convl2g = nn.Conv2d(local_channels, global_channels, 3, bias=False)
        self.convg2l = nn.Conv2d(global_channels, local_channels, 3, bias=False)
        self.convg2g = SpectralTransform(global_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[B, L + G, H, W]`` to local ``[B, L, H, W]`` and global ``[B, G, H, W]``."""
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        near, far = padded[:, : self.local_channels], padded[:, self.local_channels :]
        local = self.convl2l(near) + self.convg2l(far)
        return local, self.convl2g(near) + self.convg2g(x[:, self.local_channels :])


class FFCAdaIN(nn.Module):
    """FFC, then AdaIN and leaky ReLU on the local and the global channels by themselves.

    The slope is PyTorch's default of 0.01, unlike the 0.1 of the blocks around it.
    """

    def __init__(
        self, local_channels: int, global_channels: int, descriptor: int, hidden: int
    ) -> None:
        super().__init__()
        self.ffc = FFC(local_channels, global_channels)
        self.bn_l = AdaIN(local_channels, descriptor, hidden)
        self.bn_g = AdaIN(global_channels, descriptor, hidden)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` under ``[B, D]`` to the same shape."""
        local, far = self.ffc(x)
        local = F.leaky_relu(self.bn_l(local, descriptor))
        return torch.cat([local, F.leaky_relu(self.bn_g(far, descriptor))], dim=1)


class FFCResBlock(nn.Module):
    """Two modulated FFCs and a residual ("LaMa-AdaIN block", paper figure 11 d).

    Args:
        channels: ``C``, a multiple of 8 so that the spectral half of ``G`` is whole.
        descriptor: ``D``.
        hidden: width inside each AdaIN.
    """

    def __init__(self, channels: int, descriptor: int, hidden: int) -> None:
        super().__init__()
        local = channels // 4
        self.conv1 = FFCAdaIN(local, channels - local, descriptor, hidden)
        self.conv2 = FFCAdaIN(local, channels - local, descriptor, hidden)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Refine ``[B, C, H, W]``."""
        return x + self.conv2(self.conv1(x, descriptor), descriptor)
