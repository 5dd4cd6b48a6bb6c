"""Values from a formula: the weights and inputs behind the golden numbers.

Every array is a function of ``(seed, key)`` alone. The bytes of SHA-256 seed PCG64, whose raw
64-bit words numpy promises to keep; the rest is elementwise float64, so any machine agrees to the
last bit (a wave's sines, nearly). The rules restate those of ``shared/parity/fill.py`` (its
docstring is the specification); ``test_formula.py`` proves the equality by checksums stored with
the golden numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Float64 = NDArray[np.float64]
Spec = Mapping[str, Any]
"""One input description from a golden file: ``{"gen": NAME, ...arguments, "post": NAME}``."""


def _words(seed: int, key: str, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    generator = np.random.PCG64(int.from_bytes(digest[:16], "little"))
    return np.asarray(generator.random_raw(math.prod(shape)), dtype=np.uint64).reshape(shape)


def draw_normal(seed: int, key: str, shape: tuple[int, ...]) -> Float64:
    """Draw bell-shaped values of unit variance: the four 16-bit parts of a word, added up."""
    words = _words(seed, key, shape)
    total = np.zeros(shape)
    for shift in range(0, 64, 16):
        total += ((words >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64)
    return (total / 65535.0 - 2.0) * math.sqrt(3.0)


def draw_uniform(seed: int, key: str, shape: tuple[int, ...]) -> Float64:
    """Draw values of [0, 1) in steps of 2**-24, which float32 holds exactly."""
    return (_words(seed, key, shape) >> np.uint64(40)).astype(np.float64) / float(2**24)


def _normalise(vector: Float64) -> Float64:
    return vector / max(math.sqrt(float((vector * vector).sum())), 1e-12)


def _fan_in(shape: tuple[int, ...]) -> int:
    if len(shape) <= 1:
        return 1
    return math.prod(shape[2:] if len(shape) == 5 else shape[1:])


def _fill_weight(seed: int, name: str, shape: tuple[int, ...], noise: Float64) -> Float64:
    """Scale by the fan-in; wide convolutions lose their mean so that ReLUs keep the signal."""
    if len(shape) == 4 and shape[1] >= 16:
        noise = noise - noise.reshape(shape[0], -1).mean(axis=1).reshape(-1, 1, 1, 1)
    values = noise / math.sqrt(_fan_in(shape))
    return 0.1 * values if "ClassHead." in name else values


def _fill_spectral(seed: int, name: str, shape: tuple[int, ...], noise: Float64) -> Float64:
    """Give the matrix a known singular value of about 2 along the stored vectors u and v."""
    stem = name.removesuffix("weight_orig")
    left = _normalise(draw_normal(seed, stem + "weight_u", (shape[0],)))
    right = _normalise(draw_normal(seed, stem + "weight_v", (_fan_in(shape),)))
    outer = (left[:, None] * right[None, :]).reshape(shape)
    return noise / math.sqrt(_fan_in(shape)) + 2.0 * outer


def _fill_equalised(name: str, noise: Float64) -> Float64:
    """GPEN divides by the fan-in at run time, and its style layers also by 100."""
    is_style_layer = name.startswith("generator.style.")
    if name.endswith("bias"):
        if "modulation" in name:
            return 1.0 + 0.1 * noise
        return (5.0 if is_style_layer else 0.05) * noise
    if name.endswith("modulation.weight"):
        return 0.5 * noise
    return (100.0 if is_style_layer else 1.0) * noise


def fill_array(seed: int, name: str, shape: tuple[int, ...], equalised: bool = False) -> Float64:
    """Value of one state-dict entry; ``equalised`` marks GPEN's learning-rate scaled layers."""
    noise = draw_normal(seed, name, shape)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return 1.0 + 0.1 * np.abs(noise)
    if leaf == "running_mean":
        return 0.05 * noise
    if leaf in ("weight_u", "weight_v"):
        return _normalise(noise)
    if leaf == "weight_orig":
        return _fill_spectral(seed, name, shape, noise)
    if ".noises.noise" in f".{name}" or name.endswith(("constant_input.weight", "input.input")):
        return noise
    if leaf == "weight" and shape == (1,):
        return 0.5 + 0.1 * noise if equalised else 0.1 * noise
    if equalised:
        return _fill_equalised(name, noise)
    is_norm_gain = len(shape) == 1 or (len(shape) == 3 and shape[1:] == (1, 1))
    if (leaf == "weight" and is_norm_gain) or name.endswith("modulation.bias"):
        return 1.0 + 0.1 * noise
    if name.endswith("modulation.weight"):
        return 0.5 * noise / math.sqrt(_fan_in(shape))
    if "condition_scale." in name and name.endswith(".2.bias"):
        return 1.0 + 0.1 * noise
    if leaf == "bias":
        return 0.05 * noise
    return _fill_weight(seed, name, shape, noise)


def fill_state_dict(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Replace the float tensors of ``state``; integer tensors and FIR kernels stay."""
    equalised = "generator.input.input" in state
    filled: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point() or name.endswith(".kernel"):
            filled[name] = tensor.clone()
            continue
        values = fill_array(seed, name, tuple(tensor.shape), equalised)
        filled[name] = torch.from_numpy(values.astype(np.float32))
    return filled


def _interpolate(knots: Float64, size: int) -> Float64:
    """Stretch the last axis linearly from its knots to ``size`` samples."""
    last = knots.shape[-1] - 1
    position = np.arange(size, dtype=np.float64) * (last / max(size - 1, 1))
    left = np.minimum(position.astype(np.int64), last - 1)
    share = position - left
    return knots[..., left] * (1 - share) + knots[..., left + 1] * share


def make_input(
    name: str,
    shape: tuple[int, ...],
    seed: int,
    *,
    lo: float = -1.0,
    hi: float = 1.0,
    grid: int = 9,
    rough: float = 0.1,
) -> NDArray[np.float32]:
    """Smooth random signal: a coarse grid interpolated over the last two axes, plus roughness."""
    coarse = draw_uniform(seed, f"input:{name}", (*shape[:-2], grid, grid))
    rows = _interpolate(coarse.swapaxes(-1, -2), shape[-2]).swapaxes(-1, -2)
    signal = _interpolate(rows, shape[-1])
    signal = signal + rough * (draw_uniform(seed, f"rough:{name}", shape) - 0.5)
    return (lo + (hi - lo) * np.clip(signal, 0.0, 1.0)).astype(np.float32)


def make_image(
    name: str, height: int, width: int, seed: int, *, grid: int = 9, rough: float = 0.1
) -> NDArray[np.uint8]:
    """Smooth random picture, uint8 ``[height, width, 3]``."""
    planes = make_input(name, (3, height, width), seed, lo=0.0, hi=255.0, grid=grid, rough=rough)
    levels = np.rint(planes.astype(np.float64)).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def make_wave(seed: int, sr: int = 16000, seconds: float = 1.0) -> NDArray[np.float32]:
    """Speech-like wave in [-1, 1]: five gated chirps and a little noise."""
    num_samples = round(sr * seconds)
    time_s = np.arange(num_samples, dtype=np.float64) / sr
    pitch, chirp, phase = draw_uniform(seed, "wave", (5, 3)).T
    wave = np.zeros(num_samples)
    for index in range(5):
        tone_hz = 110.0 * (index + 1) * (1.0 + 0.5 * pitch[index])
        turns = tone_hz * time_s + 40.0 * chirp[index] * time_s * time_s
        wave += np.sin(2 * np.pi * turns + 6.0 * phase[index]) / (index + 1)
    gate = 0.5 - 0.5 * np.cos(2 * np.pi * 3.0 * time_s)
    wave = 0.25 * wave * gate + 0.005 * draw_normal(seed, "wavenoise", (num_samples,))
    return np.clip(wave, -1.0, 1.0).astype(np.float32)


def make_face_scores(name: str, num_anchors: int, seed: int) -> NDArray[np.float32]:
    """Two-class probabilities ``[1, N, 2]`` of which about 40 are faces above 0.9."""
    share = 40.0 / num_anchors
    draw = draw_uniform(seed, name, (1, num_anchors))
    high = 0.9 + 0.1 * (draw - (1 - share)) * num_anchors / 40.0
    face = np.where(draw > 1 - share, high, 0.5 * draw).astype(np.float32)
    return np.stack([1 - face, face], axis=-1).astype(np.float32)


def _zero_lower_half(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    faces[:, :3, ..., faces.shape[-2] // 2 :, :] = 0
    return faces


_POST: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "zero_lower_half_of_channels_0_2": _zero_lower_half,
    "first_channel_gt_half": lambda planes: (planes[0] > 0.5).astype(np.float32),
    "first_channel": lambda planes: planes[0],
    "times_255": lambda planes: planes * np.float32(255.0),
}


def generate(spec: Spec, seed: int, earlier: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Evaluate one input description; ``earlier`` holds the inputs that it may cut from."""
    arguments = {key: value for key, value in spec.items() if key not in ("gen", "post")}
    if "shape" in arguments:
        arguments["shape"] = tuple(arguments["shape"])
    kind = spec["gen"]
    array: NDArray[Any]
    if kind == "make_input":
        array = make_input(seed=seed, **arguments)
    elif kind == "uniform":
        array = draw_uniform(seed, arguments["name"], arguments["shape"]).astype(np.float32)
    elif kind == "noise_tensor":
        key = "noise:" + arguments["name"]
        array = draw_normal(seed, key, arguments["shape"]).astype(np.float32)
    elif kind == "make_image":
        array = make_image(seed=seed, **arguments)
    elif kind == "make_wave":
        array = make_wave(seed=seed, **arguments)
    elif kind == "retina_conf":
        array = make_face_scores(arguments["name"], arguments["n"], seed)
    elif kind == "slice":
        first, last = arguments["channels"]
        array = earlier[arguments["of"]][:, first:last].copy()
    else:
        raise ValueError(f"golden input of unknown kind {kind!r}")
    return _POST[spec["post"]](array) if "post" in spec else array
