"""The networks of others, and what belongs to them, under the names of ``shared/parity/check.py``.

A factory takes the object that ``torch.load`` returns for the official file and returns a function
from named inputs to named outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.weights import load_official
from third_party import face3d as face3d_package
from third_party import ganimation, gfpgan, gpen, parsenet, retinaface, s3fd
from third_party.retinaface.detection import make_anchors, select_faces

Checkpoint = Mapping[str, Any]
Inputs = Mapping[str, Tensor]
Run = Callable[[Inputs], dict[str, Tensor]]
Network = TypeVar("Network", bound=nn.Module)


def _load(network_class: Callable[[], Network], name: str, checkpoint: Checkpoint) -> Network:
    network = network_class()
    load_official(network, name, checkpoint)
    return network.eval().requires_grad_(False)


def face3d(checkpoint: Checkpoint) -> Run:
    network = _load(face3d_package.Face3D, "face3d", checkpoint)
    return lambda inputs: {"coeff": network.to(inputs["image"].device)(inputs["image"])}


def GFPGAN(checkpoint: Checkpoint) -> Run:
    network = _load(gfpgan.GFPGAN, "GFPGAN", checkpoint)
    return lambda inputs: {"out": network.to(inputs["image"].device)(inputs["image"])}


def GPEN(checkpoint: Checkpoint) -> Run:
    network = _load(gpen.GPEN, "GPEN", checkpoint)
    return lambda inputs: {"out": network.to(inputs["image"].device)(inputs["image"])}


def ParseNet(checkpoint: Checkpoint) -> Run:
    network = _load(parsenet.ParseNet, "ParseNet", checkpoint)

    def run(inputs: Inputs) -> dict[str, Tensor]:
        features = network.to(inputs["image"].device).extract_features(inputs["image"])
        mask = network.out_mask_conv(features)
        return {"mask": mask, "img": network.out_img_conv(features), "argmax": mask.argmax(dim=1)}

    return run


def RetinaFace(checkpoint: Checkpoint) -> Run:
    network = _load(retinaface.RetinaFace, "RetinaFace", checkpoint)

    def run(inputs: Inputs) -> dict[str, Tensor]:
        raw = network.to(inputs["image"].device)(inputs["image"])
        return {"loc": raw.boxes, "conf": raw.scores, "landms": raw.points}

    return run


def GANimation(checkpoint: Checkpoint) -> Run:
    network = _load(ganimation.GANimation, "GANimation", checkpoint)

    def run(inputs: Inputs) -> dict[str, Tensor]:
        image, aus = inputs["image"], inputs["aus"]
        features = network.to(image.device).extract_features(image, aus)
        return {
            "color": network.color_top(features),
            "au": network.au_top(features),
            "embed": features,
            "fake": network(image, aus),
        }

    return run


def S3FD(checkpoint: Checkpoint) -> Run:
    network = _load(s3fd.S3FD, "S3FD", checkpoint)

    def run(inputs: Inputs) -> dict[str, Tensor]:
        levels = network.to(inputs["image"].device)(inputs["image"])
        maps = (output for level in levels for output in level)
        return {f"o{index}": output for index, output in enumerate(maps)}

    return run


def fn_autable(_: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: ganimation.expression_aus(name) for name in ganimation.EXPRESSIONS}


def fn_retinapost(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Upstream divides the scores by the picture's scale too, and takes one scale for both axes."""
    config = retinaface.DetectionConfig()
    outputs = {}
    for k in range(2):
        height, width = config.network_size(*inputs[f"image_{k}"].shape[:2])
        scale = max(height, width) / max(inputs[f"image_{k}"].shape[:2])
        anchors = make_anchors(height, width)
        faces = select_faces(
            torch.from_numpy(inputs[f"loc_{k}"][0]),
            torch.from_numpy(inputs[f"conf_{k}"][0, :, 1]),
            torch.from_numpy(inputs[f"landms_{k}"][0]),
            anchors,
            scale=(scale, scale),
            config=config,
        )
        outputs[f"dets_{k}"] = np.column_stack([faces.boxes_px, faces.scores / scale])
        outputs[f"landms_{k}"] = faces.points_px.transpose(0, 2, 1).reshape(-1, 10)
        outputs[f"net_hw_{k}"] = np.array([height, width])
        outputs[f"n_priors_{k}"] = np.array(len(anchors))
        outputs[f"priors_{k}"] = (anchors / torch.tensor([width, height, width, height])).numpy()
    return outputs
