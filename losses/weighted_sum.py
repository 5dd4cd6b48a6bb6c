"""The full objective as a weighted sum of named terms (paper Eq. 4, 9 and 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def weighted_sum(
    terms: Mapping[str, Tensor], weights: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the terms up and return every one of them for the log.

    A term of weight zero is logged but left out of the sum, so that it costs no gradient.

    Args:
        terms: scalars by name.
        weights: a weight for each of these names, no more and no fewer.

    Returns:
        The objective, and the detached, unweighted terms plus ``"total"``.

    Raises:
        ValueError: names differ, or no term has a weight.
    """
    if terms.keys() != weights.keys():
        raise ValueError(f"loss terms {sorted(terms)} and weights {sorted(weights)} differ")
    active = [weights[name] * term for name, term in terms.items() if weights[name] != 0]
    if not active:
        raise ValueError(f"every weight is zero: {sorted(weights)}")
    total = torch.stack(active).sum()
    return total, {name: term.detach() for name, term in terms.items()} | {"total": total.detach()}


def mean_terms(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average the logs of the micro-batches of one update."""
    return {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
