"""What runs networks on frames, as those see it who do not care where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from retalking.types import FloatArray, IntArray

Forward = Callable[..., Tensor]
Several = Callable[..., tuple[Tensor, ...]]
Finish = Callable[[Tensor], Tensor]


class Run(Protocol):
    """Applies networks to tensors ``[T, ...]``: a ``Runner``, or one for given frames."""

    def __call__(
        self,
        network: Callable[..., Any],
        *inputs: Tensor,
        forward: Forward | None = None,
        finish: Finish | None = None,
    ) -> Tensor:
        """See ``Runner``."""

    def several(
        self, network: Callable[..., Any], *inputs: Tensor, forward: Several, finish: Several
    ) -> tuple[Tensor, ...]:
        """See ``Runner.several``."""

    def only(self, rows: IntArray) -> Run:
        """Return the same for some of the frames, int64, increasing."""

    def over(self, function: Callable[..., FloatArray], *arrays: NDArray[np.generic]) -> FloatArray:
        """See ``Runner.over``."""
