"""Random numbers that depend on given ones alone."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(*numbers: int) -> None:
    """Set the random state of Python, NumPy and PyTorch (all devices) from the given numbers."""
    state = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))
