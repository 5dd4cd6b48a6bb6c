"""LPIPS, perceptual distance (Zhang et al. 2018), by the ``lpips`` package on AlexNet, version 0.1.

The package carries the weights of its linear layers; AlexNet's own are torchvision's file, which
must be here: nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.weight_files import read_torch_file
from retalking.errors import WeightsError
from retalking.metrics.image_quality import TrueFrameMetric
from retalking.metrics.metric import Quantity
from retalking.weights import catalogue


def load_lpips(given: Mapping[str, Path], device: torch.device) -> nn.Module:
    """Build the package's network around torchvision's AlexNet.

    Returns:
        A module of two batches ``[B, 3, H, W]``, with ``normalize=True`` for pictures in [0, 1].

    Raises:
        WeightsError: the file is not there, is another one, or does not fit.
    """
    from lpips import LPIPS  # noqa: PLC0415 - imports torchvision's models and SciPy

    path = catalogue.find("alexnet", given=given)
    network = LPIPS(net="alex", pnet_rand=True, verbose=False)
    # The package spreads torchvision's ``features`` over slices and keeps the layers' numbers.
    named = {name.split(".", 1)[1]: name for name in network.net.state_dict()}
    stored = read_torch_file(path)
    state = {
        named[key.removeprefix("features.")]: value
        for key, value in stored.items()
        if key.removeprefix("features.") in named
    }
    try:
        network.net.load_state_dict(state)
    except RuntimeError as error:
        fault = " ".join(str(error).split())
        raise WeightsError(f"{path}: not torchvision's AlexNet ({fault:.200})") from None
    return network.eval().requires_grad_(False).to(device)


def lpips_metric(network: nn.Module, device: torch.device) -> TrueFrameMetric:
    """LPIPS of the result's frames from the true ones, mean over frames."""

    def distance(output: Tensor, target: Tensor) -> Tensor:
        return network(output, target, normalize=True).mean()

    quantity = Quantity("lpips", "", "lower", note="full frames, AlexNet 0.1")
    return TrueFrameMetric(quantity, distance, device)
