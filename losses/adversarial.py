"""Adversarial terms of E-Net (paper Eq. 13). ``logits`` are raw scores, D(x) = sigmoid(logit).

Eq. 13 is the minimax game of Goodfellow et al. 2014: "minimax" is its letter, whose generator
gradient vanishes while the discriminator wins; "non_saturating" is the same game with the usual
generator loss -log D; "hinge" bounds the discriminator's reward. Scores of any shape, mean reduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

_SHORTEST = 1e-12

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


def join_game(
    others: Tensor,
    game: Tensor,
    output: Tensor,
    layer: Sequence[Tensor],
    weight: float,
    most: float | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the generator's part of the game to its other terms, and measure how strong it is.

    What both ask of the picture is worked out once; the pull on a layer near it follows from that
    at little cost, and so does the gradient of everything.

    Args:
        others: scalar, weighted sum of the other terms.
        game: scalar of ``generator_loss``.
        output: pictures, through which alone both depend on the network.
        layer: parameters of the network's last layer.
        weight: of the game, at most.
        most: longest gradient of the weighted game in ``layer`` over that of ``others``; ``None``
            does not lower the weight.

    Returns:
        A scalar whose gradient with respect to everything behind ``output`` is that of the sum, and
        for the log ``adversarial`` (unweighted), ``adversarial_weight`` and ``adversarial_share``
        (the ratio of gradients at this weight).
    """
    wants = [torch.autograd.grad(part, output)[0] for part in (others, game)]
    pulls = []
    for want in wants:
        found = torch.autograd.grad(output, layer, want, retain_graph=True, allow_unused=True)
        pulls.append(torch.cat([part.flatten() for part in found if part is not None]).norm())
    ratio = pulls[1].float() / pulls[0].float().clamp_min(_SHORTEST)
    used = torch.full_like(ratio, weight)
    if most is not None:
        used = torch.minimum(used, most / ratio.clamp_min(_SHORTEST))
    joined = (output * (wants[0] + used * wants[1]).detach()).sum()
    log = {
        "adversarial": game.detach(),
        "adversarial_weight": used,
        "adversarial_share": used * ratio,
    }
    return joined, log


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Half the mean squared gradient norm of the score on real pictures (Mescheder et al. 2018).

    Multiply by gamma. Compute it outside autocast: half precision loses small gradients.

    Args:
        real_logits: scores of ``real``, with the graph kept.
        real: ``[B, 3, H, W]`` that requires a gradient.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2
