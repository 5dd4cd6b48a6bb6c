"""Gradients averaged over the ranks while the way back still runs (Li et al. 2020).

As in DistributedDataParallel, gradients travel in buckets, each as soon as it is full. There is no
wrapper: no module or key changes, several forward passes per update (a GAN's steps, accumulation)
and parts without gradient (stage 1 of D-Net) need no special mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from retalking.training.distributed import Ranks

BUCKET_BYTES = 25 * 2**20
"""As in DistributedDataParallel: large enough for the network, small enough to begin early."""


class GradientReducer:
    """Averages the gradients of some parameters over the ranks.

    ``expect`` before the way back whose gradients are the last ones, ``finish`` after it.

    Args:
        parameters: those that are trained, in the order of the way forth, the same on every rank.
        ranks: all of which call the same methods in the same order.
        bucket_bytes: a bucket is closed when it holds as much.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        ranks: Ranks,
        bucket_bytes: int = BUCKET_BYTES,
    ) -> None:
        self._ranks = ranks
        self._buckets = _fill_buckets(parameters, bucket_bytes) if ranks.world_size > 1 else []
        self._expecting = False
        self._forget()
        for number, bucket in enumerate(self._buckets):
            for parameter in bucket:
                parameter.register_post_accumulate_grad_hook(
                    lambda _parameter, number=number: self._count(number)
                )

    def expect(self) -> None:
        """Send gradients from now on as they come: nothing will be added to them any more."""
        self._forget()
        self._expecting = True

    def finish(self) -> None:
        """Send what is left, wait, and replace every gradient by its mean over the ranks.

        Parameters without a gradient are left out; they must be the same ones on every rank.
        """
        self._expecting = False
        while self._num_sent < len(self._buckets):
            self._send()
        for gradients, mean in self._on_their_way:
            pieces = mean().split([gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))
        self._forget()

    def _forget(self) -> None:
        self._missing = [len(bucket) for bucket in self._buckets]
        self._num_sent = 0
        self._on_their_way: list[tuple[list[Tensor], Callable[[], Tensor]]] = []

    def _count(self, number: int) -> None:
        if not self._expecting:
            return
        self._missing[number] -= 1
        # In the order of the buckets, so that every rank sends the same things at the same place.
        while self._num_sent < len(self._buckets) and self._missing[self._num_sent] == 0:
            self._send()

    def _send(self) -> None:
        bucket = self._buckets[self._num_sent]
        self._num_sent += 1
        gradients = [p.grad for p in bucket if p.grad is not None]
        if gradients:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            self._on_their_way.append((gradients, self._ranks.begin_mean(flat)))


def _fill_buckets(
    parameters: Sequence[nn.Parameter], bucket_bytes: int
) -> list[list[nn.Parameter]]:
    """Share parameters out, the last ones first, since their gradients come first."""
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in reversed(parameters):
        if room <= 0 or parameter.dtype != buckets[-1][-1].dtype:
            buckets.append([])
            room = bucket_bytes
        buckets[-1].append(parameter)
        room -= parameter.numel() * parameter.element_size()
    return buckets
