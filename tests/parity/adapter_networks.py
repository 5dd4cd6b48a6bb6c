"""Network factories under the names of ``shared/parity/check.py``.

A factory takes the object that ``torch.load`` returns for the official file (for ``ENet`` a dict of
two) and returns a function from named inputs to named outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.blocks.warping import flow_to_deformation, warp
from models.dnet import DNet as DNetwork
from models.enet import ENet as ENetwork
from models.lnet import LNet as LNetwork
from models.weights import load_official

Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def DNet(checkpoint: Mapping[str, Any]) -> Run:
    network = DNetwork().eval()
    load_official(network, "DNet", checkpoint)

    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        out = network.to(inputs["image"].device)(inputs["image"], inputs["coeff"])
        return {
            "descriptor": out.descriptor[:, :, None],
            "flow_field": out.flow_px,
            "warp_image": out.warped,
            "fake_image": out.edited,
        }

    return run


def fn_flow(inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    flow_px, image = torch.from_numpy(inputs["flow"]), torch.from_numpy(inputs["image"])
    deformation = flow_to_deformation(flow_px)
    no_motion = flow_to_deformation(torch.zeros_like(flow_px))
    return {
        "deformation": deformation,
        "warp": warp(image, deformation),
        "warp_zero_flow": warp(image, no_motion),
    }


def LNet(checkpoint: Mapping[str, Any]) -> Run:
    network = LNetwork().eval()
    load_official(network, "LNet", checkpoint)

    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"out": network.to(inputs["face"].device)(inputs["mel"], inputs["face"])}

    return run


def ENet(checkpoints: Mapping[str, Any]) -> Run:
    network = ENetwork().eval()
    load_official(network, "ENet", checkpoints["ENet"], lnet_source=checkpoints["LNet"])

    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        network.to(inputs["face"].device)
        noise = [inputs[f"noise{index}"] for index in range(4)] if "noise0" in inputs else "zero"
        out = network(inputs["mel"], inputs["face"], inputs["ref"], noise)
        low_res = out.low_res
        if low_res.ndim == 5:  # upstream enlarges it, but only in this form
            low_res = F.interpolate(low_res, scale_factor=(1, 4, 4))
        return {"out": out.face, "low_res": low_res}

    return run
