"""Moving average of a network's weights, which is what validation judges and inference loads."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Ema(Generic[Network]):
    """Exponential moving average of parameters; buffers are copied.

    The decay starts low, ``min(decay, (1 + n) / (10 + n))`` after ``n`` updates, so that the random
    start is forgotten quickly. Create it before the first forward pass: modules with spectral norm
    cannot be copied afterwards.

    Args:
        network: the network that is trained, already on its device.
        decay: share of the average that an update keeps, in [0, 1).

    Attributes:
        network: the averaged copy, in evaluation mode and without gradients.
    """

    def __init__(self, network: Network, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA decay: got {decay}, expected a value in [0, 1)")
        self.network: Network = copy.deepcopy(network).eval().requires_grad_(False)
        self._source = network
        self._decay = decay
        self._num_updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the trained network; call once after each optimiser step."""
        decay = min(self._decay, (1 + self._num_updates) / (10 + self._num_updates))
        averages: list[torch.Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averages, list(self._source.parameters()), 1 - decay)
        buffers = zip(self.network.buffers(), self._source.buffers(), strict=True)
        for average, buffer in buffers:
            average.copy_(buffer)
        self._num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what resume restores."""
        return {"network": self.network.state_dict(), "num_updates": self._num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the average and its age."""
        self.network.load_state_dict(state["network"])
        self._num_updates = state["num_updates"]
