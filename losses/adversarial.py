"""Adversarial terms of E-Net (paper Eq. 13). ``logits`` are raw scores, D(x) = sigmoid(logit).

Eq. 13 is the minimax game of Goodfellow et al. 2014: "minimax" is its letter, whose generator
gradient vanishes while the discriminator wins; "non_saturating" is the same game with the usual
generator loss -log D; "hinge" bounds the discriminator's reward. Scores of any shape, mean reduced.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Game = Literal["minimax", "non_saturating", "hinge"]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, game: Game) -> Tensor:
    """Return what the discriminator minimises: the negative of Eq. 13, or its hinge."""
    if game == "hinge":
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor, game: Game) -> Tensor:
    """Return what the generator minimises."""
    if game == "minimax":
        return -F.softplus(fake_logits).mean()
    if game == "non_saturating":
        return F.softplus(-fake_logits).mean()
    return -fake_logits.mean()


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Half the mean squared gradient norm of the score on real pictures (Mescheder et al. 2018).

    Multiply by gamma. Compute it outside autocast: half precision loses small gradients.

    Args:
        real_logits: scores of ``real``, with the graph kept.
        real: ``[B, 3, H, W]`` that requires a gradient.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2
