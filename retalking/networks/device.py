"""Where networks run, and in which number format."""

from __future__ import annotations

from typing import Any, Literal

import torch

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
