"""Agreement of lips and speech in the embedding space of the sync expert (paper Eq. 7 and 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PROBABILITY_FLOOR = 1e-7
"""Keeps the logarithm finite; half a unit of float32 below 1."""


def sync_probability(video: Tensor, audio: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the cosine similarity of two embeddings, Eq. 8.

    The expert ends in a ReLU, so the value lies in [0, 1] and serves as a probability.

    Args:
        video: ``[B, C]``.
        audio: ``[B, C]``.
        eps: floor of the product of norms (the "max" of Eq. 8).

    Returns:
        float32 ``[B]``.
    """
    video, audio = video.float(), audio.float()
    norms = video.norm(dim=1) * audio.norm(dim=1)
    return (video * audio).sum(1) / norms.clamp(min=eps)


def sync_cross_entropy(probability: Tensor, in_sync: Tensor) -> Tensor:
    """Binary cross entropy that trains the expert on aligned and shifted windows.

    Args:
        probability: ``[B]`` from ``sync_probability``.
        in_sync: ``[B]``, 1 where the windows belong together, else 0.

    Returns:
        The mean over the batch; ln 2 = 0.69 for an expert that always says 0.5.
    """
    p = probability.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return -(in_sync * p.log() + (1 - in_sync) * (1 - p).log()).mean()


def group_cross_entropy(cosine: Tensor, right_share: float) -> Tensor:
    """``sync_cross_entropy`` of all pairs of a group.

    Args:
        cosine: ``[B, V, W]`` in [0, 1] of the lips of window ``i`` and the speech of window ``j``.
        right_share: how much the right pairs count together, the wrong ones the rest of 1. An
            expert that knows nothing answers with it.
    """
    belongs = torch.eye(*cosine.shape[1:], dtype=torch.bool, device=cosine.device)
    right, wrong = cosine[:, belongs], cosine[:, ~belongs]
    found = sync_cross_entropy(right, torch.ones_like(right))
    refused = sync_cross_entropy(wrong, torch.zeros_like(wrong))
    return right_share * found + (1 - right_share) * refused


def contrastive_loss(cosine: Tensor, temperature: float) -> Tensor:
    """Cross entropy of finding the own speech of lips in a group (InfoNCE).

    After van den Oord et al. 2018; not in the paper.

    Args:
        cosine: ``[B, V, W]`` of the lips of window ``i`` and the speech of window ``j``, V <= W.
        temperature: the difference of two cosines that makes one e times as likely as the other.

    Returns:
        The mean over all lips; ln W where all cosines are the same.
    """
    own = torch.arange(cosine.shape[1], device=cosine.device).repeat(len(cosine))
    return F.cross_entropy(cosine.flatten(0, 1) / temperature, own)


def sync_loss(video: Tensor, audio: Tensor) -> Tensor:
    """Mean of ``-log(P_sync)`` over the batch, Eq. 7: the generator wants every pair in sync."""
    return -sync_probability(video, audio).clamp(min=PROBABILITY_FLOOR).log().mean()


class SyncSchedule:
    """Weight of the sync term: zero until the generator is good enough to be judged.

    Wav2Lip switches the term on when the expert's loss on validation clips falls below 0.75; before
    that, the expert sees blurred mouths that it was never trained on and its gradient misleads.

    Args:
        weight: weight once switched on (paper: 0.3).
        threshold: validation sync loss that switches it on; infinity means from the start.
    """

    def __init__(self, weight: float, threshold: float) -> None:
        self._weight = weight
        self._threshold = threshold
        self._active = threshold == float("inf")

    @property
    def weight(self) -> float:
        """The weight to use now."""
        return self._weight if self._active else 0.0

    def observe(self, validation_sync_loss: float) -> None:
        """Switch on, for good, once the loss is below the threshold."""
        self._active = self._active or validation_sync_loss < self._threshold

    def state_dict(self) -> dict[str, bool]:
        """Return what resume restores."""
        return {"active": self._active}

    def load_state_dict(self, state: dict[str, bool]) -> None:
        """Restore the switch."""
        self._active = state["active"]
