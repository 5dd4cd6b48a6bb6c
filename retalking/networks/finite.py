"""Results that must be finite, also where nobody has looked at them yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from retalking.errors import RetalkingError


@dataclass
class FiniteResults:
    """What is not known yet of results on a device, which one would have to wait for."""

    _unknown: list[tuple[str, Tensor]] = field(default_factory=list)

    @torch.inference_mode()
    def add(
        self, network: Callable[..., Any], precision: torch.dtype, results: list[Tensor]
    ) -> None:
        """Have a network's results looked at by the device, now or later."""
        name = getattr(network, "__name__", type(network).__name__)
        line = f"{name}: the result is not finite in {precision}"
        self._unknown += [(line, torch.isfinite(result).all()) for result in results]

    def settle(self) -> None:
        """Wait for what was added.

        Raises:
            RetalkingError: a result is not finite.
        """
        unknown, self._unknown = self._unknown, []
        for line, finite in unknown:
            if not finite:
                raise RetalkingError(f"{line}; use --precision fp32, or check the weights")
