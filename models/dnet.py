"""D-Net: edits the expression of a face by 3DMM coefficients (paper 3.1 and C.1).

Three parts after PIRenderer (Ren et al. 2021): a mapping from a window of coefficients to one
descriptor, a warping network that predicts a flow, and an editing network that repaints.

Legend: ``B`` batch, ``H, W`` picture size, ``T`` frames of a coefficient window, ``D`` descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.editing_net import AdaINResBlock, EditingNet
from models.blocks.layers import LEAKY_SLOPE, ConvBlock, level_channels
from models.blocks.warping import flow_to_deformation, warp
from models.blocks.warping_net import DownBlock, UpBlock, WarpingNet
from models.checks import require, require_positive
from retalking.errors import ConfigError


@dataclass(frozen=True)
class DNetConfig:
    """Widths and depths of D-Net; the defaults are those of the released DNet.pt.

    Attributes:
        coefficient_channels: values per frame: expression 64, angle 3, translation 3, crop 3.
        descriptor_channels: size of the descriptor that modulates both networks.
        mapping_layers: dilated convolutions over time; each shortens the window by 6 frames.
        adain_channels: hidden width of each AdaIN.
        warping_base_channels, warping_max_channels: width at full size, doubled up to the cap.
        warping_down_levels, warping_up_levels: halvings and doublings; the flow has
            ``1 / 2 ** (down - up)`` of the picture's size.
        editing_base_channels, editing_max_channels: as for the warping network.
        editing_levels: halvings of the editing network.
        editing_blocks: residual blocks per level.
        chained_blocks: whether both convolutions of a residual block count, as the name
            says; the released weights were trained with the second one alone.
        spectral_norm: spectral norm in the editing network, as the paper's C.1.1 says; the
            released weights have none.
        edits_warped: whether the editing network adds to the warped picture instead of painting
            all of it anew; released and paper: no.
        standardised: whether the mapping network subtracts a mean from the coefficients and divides
            them by a deviation, which are stored with the weights; released and paper: no.
    """

    coefficient_channels: int = 73
    descriptor_channels: int = 256
    mapping_layers: int = 3
    adain_channels: int = 128
    warping_base_channels: int = 32
    warping_max_channels: int = 256
    warping_down_levels: int = 5
    warping_up_levels: int = 3
    editing_base_channels: int = 64
    editing_max_channels: int = 256
    editing_levels: int = 3
    editing_blocks: int = 2
    chained_blocks: bool = False
    spectral_norm: bool = False
    edits_warped: bool = False
    standardised: bool = False

    def __post_init__(self) -> None:
        switches = ("chained_blocks", "spectral_norm", "edits_warped", "standardised")
        require_positive(self, *(f for f in self.__dataclass_fields__ if f not in switches))
        fits = self.warping_up_levels <= self.warping_down_levels
        most = f"at most warping_down_levels ({self.warping_down_levels})"
        require(fits, self, "warping_up_levels", most)

    @property
    def min_window(self) -> int:
        """Fewest frames ``T`` of a coefficient window."""
        return 6 * (self.mapping_layers + 1) + 1

    @property
    def size_divisor(self) -> int:
        """Picture sizes must be multiples of this."""
        return int(2 ** max(self.warping_down_levels, self.editing_levels))


class DNetOutput(NamedTuple):
    """What D-Net computes, in this order.

    Attributes:
        descriptor: ``[B, D]``.
        flow_px: ``[B, 2, h, w]``, x and y in pixels of the flow's own grid.
        warped: ``[B, 3, H, W]``, the picture moved by the flow.
        edited: ``[B, 3, H, W]`` in [-1, 1]; ``None`` where only the warp was asked for.
    """

    descriptor: Tensor
    flow_px: Tensor
    warped: Tensor
    edited: Tensor | None


class MappingNet(nn.Module):
    """Coefficient window to descriptor: 1-D convolutions over time without padding, then mean."""

    def __init__(self, config: DNetConfig) -> None:
        super().__init__()
        width = config.descriptor_channels
        self.standardised = config.standardised
        if self.standardised:
            channels = config.coefficient_channels
            self.register_buffer("mean", torch.zeros(channels, 1))
            self.register_buffer("deviation", torch.ones(channels, 1))
        self.num_layers = config.mapping_layers
        self.min_window = config.min_window
        self.first = nn.Sequential(nn.Conv1d(config.coefficient_channels, width, 7))
        for index in range(self.num_layers):
            layer = nn.Sequential(nn.LeakyReLU(LEAKY_SLOPE), nn.Conv1d(width, width, 3, dilation=3))
            self.add_module(f"encoder{index}", layer)

    @torch.no_grad()
    def measure(self, coefficients: Tensor) -> None:
        """Take mean and deviation from samples ``[N, 73]``; channels that never vary keep 1."""
        deviation = coefficients.std(0)
        varies = deviation > 1e-6
        self.get_buffer("mean").copy_(coefficients.mean(0)[:, None])
        self.get_buffer("deviation").copy_(torch.where(varies, deviation, 1.0)[:, None])

    def forward(self, coefficients: Tensor) -> Tensor:
        """Map ``[B, 73, T]`` to ``[B, D]``.

        Raises:
            ConfigError: the window is too short for the layers.
        """
        if coefficients.shape[-1] < self.min_window:
            raise ConfigError(
                f"D-Net: coefficient window of {coefficients.shape[-1]} frames, "
                f"expected at least {self.min_window}"
            )
        if self.standardised:
            mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
            coefficients = (coefficients - mean) / deviation
        x = self.first(coefficients)
        for index in range(self.num_layers):
            x = self.get_submodule(f"encoder{index}")(x) + x[:, :, 3:-3]
        return x.mean(dim=2)


class DNet(nn.Module):
    """Gives a face the expression and pose of a window of 3DMM coefficients."""

    BLOCKS: ClassVar = (AdaINResBlock, ConvBlock, DownBlock, UpBlock)
    """Parts that training may compute twice to save memory."""

    def __init__(self, config: DNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DNetConfig()
        self.mapping_net = MappingNet(config)
        self.warpping_net = WarpingNet(  # the official file spells it so
            level_channels(
                config.warping_base_channels,
                config.warping_max_channels,
                config.warping_down_levels,
            ),
            config.warping_up_levels,
            config.descriptor_channels,
            config.adain_channels,
        )
        self.editing_net = EditingNet(
            level_channels(
                config.editing_base_channels, config.editing_max_channels, config.editing_levels
            ),
            num_blocks=config.editing_blocks,
            descriptor=config.descriptor_channels,
            hidden=config.adain_channels,
            chained=config.chained_blocks,
            spectral_norm=config.spectral_norm,
        )

    def forward(self, image: Tensor, coefficients: Tensor, warp_only: bool = False) -> DNetOutput:
        """Edit faces.

        Args:
            image: ``[B, 3, H, W]``, RGB in [-1, 1]; sizes are multiples of ``size_divisor``.
            coefficients: ``[B, 73, T]``, window centred on the frame; the released weights
                expect 26 or 27 frames.
            warp_only: skip the editing network (first training stage, paper C.1.3).

        Raises:
            ConfigError: the picture's size or the window's length does not fit.
        """
        divisor = self.config.size_divisor
        if image.shape[-1] % divisor or image.shape[-2] % divisor:
            size = "x".join(str(n) for n in image.shape[-2:])
            raise ConfigError(f"D-Net: picture of {size} px, expected multiples of {divisor}")
        descriptor = self.mapping_net(coefficients)
        flow_px = self.warpping_net(image, descriptor)
        # Positions need more than the 8 bits of bfloat16's mantissa.
        with torch.autocast(image.device.type, enabled=False):
            warped = warp(image.float(), flow_to_deformation(flow_px.float())).to(image.dtype)
        edited = None if warp_only else self.editing_net(image, warped, descriptor)
        if edited is not None and self.config.edits_warped:
            edited = (warped + edited).clamp(-1, 1)
        return DNetOutput(descriptor, flow_px, warped, edited)

    def edit_fine(self, image: Tensor, coefficients: Tensor) -> Tensor:
        """Edit a picture that is larger than what the network was trained on.

        The networks see it shrunk to half its size. What they find, a flow and a change, is smooth
        and can be enlarged, so the detail of the large picture is moved, not painted anew.

        Args:
            image: ``[B, 3, 2H, 2W]``, RGB in [-1, 1].
            coefficients: as for ``forward``.

        Returns:
            ``[B, 3, 2H, 2W]`` in [-1, 1].

        Raises:
            ConfigError: the network paints all of the picture (no ``edits_warped``), or the
                picture's size or the window's length does not fit.
        """
        if not self.config.edits_warped:
            raise ConfigError("D-Net: edits_warped is off, so pictures have the size of training")
        made = self(F.avg_pool2d(image, 2), coefficients)
        with torch.autocast(image.device.type, enabled=False):
            warped = warp(image.float(), flow_to_deformation(made.flow_px.float()))
            change = (made.edited - made.warped).float()
            change = F.interpolate(change, scale_factor=2.0, mode="bilinear", align_corners=False)
            return (warped + change).clamp(-1, 1).to(image.dtype)
