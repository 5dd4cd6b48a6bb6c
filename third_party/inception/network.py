"""Inception v3 as TensorFlow released it in 2015 (arXiv 1512.00567), on torchvision's blocks.

It differs from torchvision's in the pooling branch of nine blocks: averages leave out the padding,
and the last block takes the maximum instead. Published FID values depend on both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import inception_v3
from torchvision.models.inception import InceptionA, InceptionC, InceptionE

INPUT_PX = 299
NUM_FEATURES = 2048
_NUM_CLASSES = 1008


def _average(x: Tensor) -> Tensor:
    """Average over 3 x 3 pixels, as many of them as there are."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(InceptionA):
    """Block at 35 px."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, 35, 35]`` to more channels."""
        wide = self.branch5x5_2(self.branch5x5_1(x))
        deep = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), wide, deep, self.branch_pool(_average(x))], 1)


class BlockC(InceptionC):
    """Block at 17 px, of kernels 7 px long."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, 768, 17, 17]`` to the same shape."""
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(_average(x))], 1)


class BlockE(InceptionE):
    """Block at 8 px."""

    def pool(self, x: Tensor) -> Tensor:
        """Smooth the input of the pooling branch."""
        return _average(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, 8, 8]`` to 2048 channels."""
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(self.pool(x)),
        ]
        return torch.cat(branches, 1)


class LastBlockE(BlockE):
    """The last block, which takes maxima."""

    def pool(self, x: Tensor) -> Tensor:
        """Take the maximum of 3 x 3 pixels."""
        return F.max_pool2d(x, 3, stride=1, padding=1)


class FidInception(nn.Module):
    """Features for FID. Keys are those of pt_inception-2015-12-05-6726825d.pth."""

    def __init__(self) -> None:
        super().__init__()
        network = inception_v3(
            weights=None, num_classes=_NUM_CLASSES, aux_logits=False, init_weights=False
        )
        network.Mixed_5b = BlockA(192, pool_features=32)
        network.Mixed_5c = BlockA(256, pool_features=64)
        network.Mixed_5d = BlockA(288, pool_features=64)
        network.Mixed_6b = BlockC(768, channels_7x7=128)
        network.Mixed_6c = BlockC(768, channels_7x7=160)
        network.Mixed_6d = BlockC(768, channels_7x7=160)
        network.Mixed_6e = BlockC(768, channels_7x7=192)
        network.Mixed_7b = BlockE(1280)
        network.Mixed_7c = LastBlockE(2048)
        for name, layer in network.named_children():
            if name not in ("avgpool", "dropout"):
                self.add_module(name, layer)

    def forward(self, pictures: Tensor) -> Tensor:
        """Describe pictures.

        Args:
            pictures: RGB ``[B, 3, H, W]`` in [0, 1].

        Returns:
            ``[B, 2048]``, the means of the last block's maps.
        """
        size = (INPUT_PX, INPUT_PX)
        x = F.interpolate(pictures, size=size, mode="bilinear", align_corners=False)
        x = 2 * x - 1
        for name, layer in self.named_children():
            if name != "fc":
                x = layer(x)
        return x.mean((2, 3))
