"""Gradient checkpointing (Chen et al. 2016): blocks are computed again on the way back, not kept.

A block that is run a second time must do what it did the first time, and leave no second trace. The
buffers that a forward pass moves (running statistics of batch norms, vectors of spectral norms) are
therefore copied before it; the repetition works on those copies.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(network: nn.Module) -> int:
    """Let the blocks of a network keep nothing but their input, in place.

    In evaluation mode, without gradients and where nothing is trained they do as before. Keys,
    results, gradients and buffers stay the same, bit by bit.

    Args:
        network: whose class names its blocks in ``BLOCKS``; another one is left as it is.

    Returns:
        How many blocks there are.
    """
    kinds = getattr(network, "BLOCKS", ())
    blocks = [module for module in network.modules() if isinstance(module, kinds)]
    for block in blocks:
        # The partial is copied with its block: an averaged copy of the network calls its own.
        block.forward = functools.partial(_forget_and_repeat, block)
    return len(blocks)


def _forget_and_repeat(block: nn.Module, *inputs: Any) -> Any:
    forward = functools.partial(type(block).forward, block)
    if not (block.training and torch.is_grad_enabled()):
        return forward(*inputs)
    before = [(module, name, buffer.clone()) for module, name, buffer in _buffers(block)]
    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _BackThen(block, before)),
    )


_Buffers = list[tuple[nn.Module, str, Tensor]]


def _buffers(block: nn.Module) -> _Buffers:
    return [
        (module, name, buffer)
        for module in block.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]


class _BackThen:
    """While it lasts a block has buffers of before; autograd may ask for it more than once.

    They are exchanged as objects: what autograd saved of the present ones stays untouched.
    """

    def __init__(self, block: nn.Module, before: _Buffers) -> None:
        self._block, self._before = block, before

    def __enter__(self) -> None:
        self._now = _buffers(self._block)
        for module, name, buffer in self._before:
            setattr(module, name, buffer.clone())

    def __exit__(self, *_fault: object) -> None:
        for module, name, buffer in self._now:
            setattr(module, name, buffer)
