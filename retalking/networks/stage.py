"""Where pictures wait to go up: memory taken once, since taking it costs what copying does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from retalking.networks.runner import Runner
from retalking.types import UInt8Array


class Stage:
    """Memory of the host that a device reads, pinned for a GPU.

    Something must have been fetched between two batches, so that the first has arrived.
    """

    def __init__(self, runner: Runner) -> None:
        """Take what sends."""
        self._runner, self._memory = runner, torch.empty(0, dtype=torch.uint8)

    def send(self, pictures: list[UInt8Array]) -> Tensor:
        """Bring pictures uint8 ``[H, W, 3]`` of one size to the device: ``[N, H, W, 3]``."""
        shape = (len(pictures), *pictures[0].shape)
        kind, size = self._runner.device.type, int(np.prod(shape))
        if len(self._memory) < size or kind == "cpu":  # there, what is sent stays where it is
            self._memory = torch.empty(size, dtype=torch.uint8, pin_memory=kind == "cuda")
        stacked = self._memory[:size].view(shape)
        np.stack(pictures, out=stacked.numpy())
        return self._runner.send(stacked)
