"""Perceptual distance in the feature space of a frozen teacher (paper Eq. 1, 2, 6 and 11).

The paper sums over VGG-19 layers; layers and scales are those of PIRender, on which D-Net builds:
relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, at four scales for 256 px pictures. Its code takes
the mean absolute difference where the paper writes a 2-norm, and the published weights of the terms
go with the former, so "l1" is what the recipes use; "mse" is the squared norm of the equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.weight_files import read_torch_file
from retalking.errors import WeightsError

VGG19_WIDTHS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
"""Channels and number of convolutions of each VGG-19 block, as far as relu5_1."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Vgg19Features(nn.Module):
    """VGG-19 up to relu5_1 (Simonyan and Zisserman 2014), frozen.

    Keys are those of torchvision's ``vgg19().features``, so that its weight file fits.
    """

    mean: Tensor
    std: Tensor
    min_size_px = 16
    """Four poolings halve the picture four times before relu5_1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self._outputs: list[int] = []
        channels = 3
        for width, num_convolutions in VGG19_WIDTHS:
            self._outputs.append(len(layers) + 1)
            for _ in range(num_convolutions):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the five activations of ``image`` ``[B, 3, H, W]`` RGB in [0, 1]."""
        x = (image - self.mean) / self.std
        maps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._outputs:
                maps.append(x)
        return maps


def load_vgg19(path: Path) -> Vgg19Features:
    """Load torchvision's ImageNet weights (``vgg19-dcbb9e9d.pth``).

    Raises:
        WeightsError: the file is absent, unreadable or not VGG-19.
    """
    fix = "get vgg19-dcbb9e9d.pth from download.pytorch.org/models or set 'perceptual: none'"
    try:
        stored = read_torch_file(path)
        network = Vgg19Features()
        network.load_state_dict({k: v for k, v in stored.items() if k in network.state_dict()})
    except WeightsError as error:
        raise WeightsError(f"no VGG-19 teacher: {error}; {fix}") from None
    except RuntimeError as error:
        fault = " ".join(str(error).split())
        raise WeightsError(f"{path}: not the weights of VGG-19 ({fault:.200}); {fix}") from None
    return network.eval()


class LayerFeatures(nn.Module):
    """Activations of chosen layers of any frozen network: ``perceptual: face_features``.

    Args:
        network: takes ``[B, 3, H, W]`` in [0, 1]; its own output is ignored.
        layers: names as in ``network.named_modules()``.
        min_size_px: smallest picture that the network takes.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], min_size_px: int = 1) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.min_size_px = min_size_px
        self._maps: list[Tensor] = []
        for name in layers:
            network.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, output: self._maps.append(output)
            )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the activations in the order in which the network computes them."""
        self._maps = []
        self.network(image)
        maps, self._maps = self._maps, []
        return maps


class FeaturePyramid(nn.Module):
    """A teacher's activations at several scales, each half the size of the one before.

    Args:
        features: frozen teacher with ``min_size_px``, such as ``Vgg19Features``.
        num_scales: 4 for 256 px; 3 for the 96 px of L-Net, whose fourth scale is too small.
    """

    def __init__(self, features: Vgg19Features | LayerFeatures, num_scales: int) -> None:
        super().__init__()
        self.features = features
        self.num_scales = num_scales

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return all activations, finest scale first.

        Raises:
            ValueError: the picture is too small for that many scales.
        """
        smallest = min(image.shape[-2:]) >> (self.num_scales - 1)
        if smallest < self.features.min_size_px:
            raise ValueError(
                f"picture of {tuple(image.shape[-2:])} px shrinks to {smallest} px at scale "
                f"{self.num_scales}; the teacher needs {self.features.min_size_px} px"
            )
        maps = self.features(image)
        for _ in range(self.num_scales - 1):
            image = F.interpolate(image, scale_factor=0.5, mode="bilinear", align_corners=False)
            maps = maps + self.features(image)
        return maps

    def full_scale(self, maps: Sequence[Tensor]) -> Sequence[Tensor]:
        """Pick the activations of the picture itself out of those that ``forward`` returned."""
        return maps[: len(maps) // self.num_scales]


def perceptual(
    output: Sequence[Tensor],
    target: Sequence[Tensor],
    distance: Literal["l1", "mse"] = "l1",
) -> Tensor:
    """Sum over activations of the mean absolute or mean squared difference.

    Args:
        output: ``FeaturePyramid`` of the generated picture.
        target: that of the ground truth, computed without gradient.
        distance: see the module docstring.
    """
    measure = F.l1_loss if distance == "l1" else F.mse_loss
    distances = [measure(a, b) for a, b in zip(output, target, strict=True)]
    return torch.stack(distances).sum()
