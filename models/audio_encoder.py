"""Wav2Lip's audio encoder (Prajwal et al. 2020), which L-Net and the lip-sync expert share."""

from __future__ import annotations

from torch import nn

from models.blocks.layers import ConvNormReLU


class AudioEncoder(nn.Sequential):
    """Mel window ``[B, 1, 80, 16]`` (0.2 s) to a vector ``[B, D, 1, 1]``.

    Args:
        base: width of the first layers, doubled three times.
        out_channels: ``D``.
        num_deep_residual: residual layers at the last of these widths: 1 in L-Net, 2 in the
            expert.
    """

    def __init__(self, base: int, out_channels: int, num_deep_residual: int) -> None:
        plan: list[tuple[int, int | tuple[int, int], int]] = [
            (base, 1, 2),
            (2 * base, (3, 1), 2),
            (4 * base, 3, 2),
            (8 * base, (3, 2), num_deep_residual),
        ]
        layers: list[nn.Module] = []
        in_channels = 1
        for channels, stride, num_residual in plan:
            layers.append(ConvNormReLU(in_channels, channels, stride=stride))
            layers.extend(
                ConvNormReLU(channels, channels, residual=True) for _ in range(num_residual)
            )
            in_channels = channels
        layers.append(ConvNormReLU(in_channels, out_channels, padding=0))
        layers.append(ConvNormReLU(out_channels, out_channels, kernel_size=1, padding=0))
        super().__init__(*layers)
