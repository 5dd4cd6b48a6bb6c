"""Where networks run, in which number format, and what travels there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from retalking.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_CPU_BF16 = ("amx_bf16", "avx512_bf16")
"""Instruction sets of Intel, and of Intel and AMD, as PyTorch calls them."""


def choose_device(name: DeviceName) -> torch.device:
    """Return the device; ``auto`` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        ConfigError: the named device is not on this machine.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        usable = ", ".join(kind for kind, here in present.items() if here)
        raise ConfigError(f"--device: got {name}, which this machine lacks; usable here: {usable}")
    return torch.device(name)


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Return the number format of convolutions; ``auto`` is bf16 where native, else fp32.

    Raises:
        ConfigError: fp16 on the CPU, where it is slower than fp32 and overflows.
    """
    if name == "auto":
        return torch.bfloat16 if _computes_in_bf16(device) else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("--precision: got fp16 on the CPU, expected fp32 or bf16")
    return _DTYPES[name]


def _computes_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32: older GPUs and CPUs emulate it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of PyTorch cannot tell; then fp32 it is.
    ask = getattr(torch.cpu, "get_capabilities", None)
    able: dict[str, Any] = {} if ask is None else ask()
    return device.type == "cpu" and any(able.get(name) for name in _CPU_BF16)


@dataclass
class Traffic:
    """Copies between the host's memory and the device's; on a CPU, those that a GPU would need.

    Attributes:
        num_sent, bytes_sent: to the device.
        num_fetched, bytes_fetched: from it.
    """

    num_sent: int = 0
    bytes_sent: int = 0
    num_fetched: int = 0
    bytes_fetched: int = 0

    def count_sent(self, part: Tensor) -> None:
        """Count a copy to the device."""
        self.num_sent += 1
        self.bytes_sent += part.numel() * part.element_size()

    def count_fetched(self, part: Tensor) -> None:
        """Count a copy from the device."""
        self.num_fetched += 1
        self.bytes_fetched += part.numel() * part.element_size()
