"""The inside of a mouth for faces that never show it: teeth, tongue, darkness.

A photograph with closed lips has no teeth to lend, and lips that were drawn apart would show lips
between them. A small network, which saw many mouths, knows how light and how red it is there, but
its teeth have no edges; formulas draw teeth as sharp as the picture, but like porcelain. Half of
each looks most like a mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from models import weights
from models.mouth_inside import MouthInsideNet
from retalking.ibug68 import OUTER_LIPS
from retalking.locations import MOUTH_INSIDE_PATH
from retalking.mouth.warp.lip_window import Gap
from retalking.mouth.warp.painting.drawn_inside import draw_inside
from retalking.types import BoolArray, Float64Array, FloatArray

_DRAWN = 0.5  # share of what formulas draw


@dataclass(frozen=True)
class InsidePainter:
    """Paints the inside of mouths.

    Attributes:
        network: in evaluation mode.
    """

    network: MouthInsideNet

    @classmethod
    def from_file(cls, path: Path = MOUTH_INSIDE_PATH) -> InsidePainter:
        """Load the network.

        Raises:
            WeightsError: the file is missing or does not fit.
        """
        return cls(weights.load(path, MouthInsideNet))

    @torch.inference_mode()
    def paint(
        self, gap: Gap, where: BoolArray, mouth: tuple[float, float, float], skin: Float64Array
    ) -> FloatArray:
        """Paint the inside of a mouth.

        Args:
            gap: pixels of a box.
            where: bool ``[h, w]``, the ones to paint.
            mouth: opening and distance of the corners in shape units, and pixels per shape unit.
            skin: ``[3]``, mean colour of the skin, 0..255.

        Returns:
            float32 ``[h, w, 3]`` in 0..255, zero elsewhere.
        """
        light = max(float(skin.mean()), 1.0)
        places = torch.from_numpy(describe_places(gap, where, *mouth))
        hue = torch.from_numpy((skin / light).astype(np.float32)).expand(len(places), 3)
        _, width, unit_px = mouth
        painted = np.zeros((*where.shape, 3), np.float32)
        painted[where] = (light * self.network(places, hue).numpy()).clip(0, 255)
        drawn = draw_inside(gap, width * unit_px, unit_px, skin)
        painted[where] += _DRAWN * (drawn - painted)[where]
        return painted


def describe_places(
    gap: Gap, where: BoolArray, opening: float, width: float, unit_px: float
) -> FloatArray:
    """Return the places of pixels as the network knows them: float32 ``[N, 5]``."""
    right = gap.across[where] / unit_px - width / 2
    below, height = gap.below_upper[where] / unit_px, gap.height[where] / unit_px
    same = np.ones_like(right)
    places = np.stack([right, below, height, opening * same, width * same], axis=1)
    return places.astype(np.float32)


def skin_color(picture: FloatArray, landmarks: Float64Array) -> Float64Array:
    """Mean colour ``[3]`` of the skin around the lips.

    Args:
        picture: float32 ``[h, w, 3]`` in 0..255.
        landmarks: ``[68, 2]`` in its pixels.
    """
    lips = landmarks[OUTER_LIPS]
    around = lips.mean(axis=0) + (lips - lips.mean(axis=0)) * (1.3, 1.5)
    region = np.zeros(picture.shape[:2], dtype=np.uint8)
    for outline, value in ((around, 1), (lips, 0)):
        cv2.fillConvexPoly(region, cv2.convexHull(np.rint(outline).astype(np.int32)), value)
    skin = picture[region > 0]
    found: Float64Array = (skin if len(skin) else picture.reshape(-1, 3)).mean(0, np.float64)
    return found
