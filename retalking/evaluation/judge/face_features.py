"""How alike two mouths look to the first layers of dlib's face recognition network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d

from retalking.errors import WeightsError
from retalking.media.images import to_tensor
from retalking.types import UInt8Array

WEIGHTS_FILE = "face_recognition_model.bin"
_LIST_FILE = "face_recognition_model-weights_manifest.json"
_SIZE_PX = 150
_MEAN = (122.782, 117.001, 104.298)
_BLOCKS = ("conv32_1", "conv32_2", "conv32_3")


class FaceFeatures:
    """The first layers of the network, in the 8 bit of ``@vladmandic/face-api`` (MIT)."""

    def __init__(self, folder: Path) -> None:
        """Load the weights.

        Raises:
            WeightsError: they are missing or no such weights.
        """
        try:
            self._weights = _read_weights(folder)
        except (OSError, KeyError, IndexError, ValueError) as error:
            raise WeightsError(f"{folder / WEIGHTS_FILE}: cannot be read: {error}") from None

    @torch.inference_mode()
    def distance(self, made: UInt8Array, true: UInt8Array) -> float:
        """Mean squared distance of unit features ``[N, H, W, 3]`` of four layers; 0 for equal.

        A blur of 1 px at 150 px costs about 0.02.
        """
        pairs = zip(self._layers(made), self._layers(true), strict=True)
        return float(np.mean([float(((_unit(a) - _unit(b)) ** 2).sum(1).mean()) for a, b in pairs]))

    def _layers(self, pictures: UInt8Array) -> list[Tensor]:
        x = interpolate(to_tensor(pictures) * 255, (_SIZE_PX, _SIZE_PX), mode="bilinear")
        x = (x - x.new_tensor(_MEAN).view(1, 3, 1, 1)) / 256
        layers = [self._convolve(x, "conv32_down", stride=2, padding=0).relu()]
        x = max_pool2d(layers[0], 3, 2)
        for block in _BLOCKS:
            inner = self._convolve(x, f"{block}/conv1").relu()
            x = (x + self._convolve(inner, f"{block}/conv2")).relu()
            layers.append(x)
        return layers

    def _convolve(self, x: Tensor, layer: str, stride: int = 1, padding: int = 1) -> Tensor:
        w = self._weights
        x = conv2d(x, w[f"{layer}/conv/filters"], w[f"{layer}/conv/bias"], stride, padding)
        scale, bias = (w[f"{layer}/scale/{name}"] for name in ("weights", "biases"))
        return x * scale.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the file of ``face-api``: tensors one after the other, HWIO, most in 8 bits."""
    data = (folder / WEIGHTS_FILE).read_bytes()
    entries = json.loads((folder / _LIST_FILE).read_text())[0]["weights"]
    weights, place = {}, 0
    for entry in entries:
        count = int(np.prod(entry["shape"]))
        rule = entry.get("quantization")
        kind = np.dtype(np.uint8 if rule else np.float32)
        values = np.frombuffer(data, kind, count, place).astype(np.float32)
        place += count * kind.itemsize
        values = values * rule["scale"] + rule["min"] if rule else values
        values = values.reshape(entry["shape"])
        values = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values
        weights[entry["name"]] = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    return weights


def _unit(x: Tensor) -> Tensor:
    return x / (x.norm(dim=1, keepdim=True) + 1e-6)
