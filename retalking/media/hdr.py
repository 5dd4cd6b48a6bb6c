"""The screen that HDR video was graded on (SMPTE ST 2086) and its light levels (CTA-861.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData

from retalking.types import HdrMetadata

_CHROMATICITY, _LUMINANCE = 50_000, 10_000
"""Units of the two in a bit stream: 0.00002 and 0.0001 cd/m2."""
_NUM_RATIONALS = 10


def read_hdr(frame: av.VideoFrame) -> HdrMetadata | None:
    """Read what the first frame of a video carries; ``None`` where it carries nothing."""
    side_data = cast("Mapping[str, SideData]", frame.side_data)
    display: tuple[int, ...] | None = None
    light: tuple[int, int] | None = None
    if "MASTERING_DISPLAY_METADATA" in side_data:
        stored = np.frombuffer(bytes(side_data["MASTERING_DISPLAY_METADATA"]), np.int32)
        rationals = stored[: 2 * _NUM_RATIONALS].reshape(-1, 2).astype(np.float64)
        has_primaries, has_luminance = stored[2 * _NUM_RATIONALS : 2 * _NUM_RATIONALS + 2]
        if has_primaries and has_luminance and rationals[:, 1].all():
            units = np.array([_CHROMATICITY] * 8 + [_LUMINANCE] * 2)
            values = np.rint(rationals[:, 0] / rationals[:, 1] * units)
            display = tuple(int(value) for value in values)
    if "CONTENT_LIGHT_LEVEL" in side_data:
        most, average = np.frombuffer(bytes(side_data["CONTENT_LIGHT_LEVEL"]), np.uint32)[:2]
        light = int(most), int(average)
    return HdrMetadata(display, light) if display or light else None


def encoder_parameters(hdr: HdrMetadata, codec: str) -> list[str]:
    """Parameters of libx264 or libx265 that write it into the stream."""
    names = {"libx264": ("mastering-display", "cll"), "libx265": ("master-display", "max-cll")}
    if codec not in names:
        return []
    for_display, for_light = names[codec]
    parameters = []
    if hdr.display is not None:
        rx, ry, gx, gy, bx, by, wx, wy, darkest, brightest = hdr.display
        parameters.append(
            f"{for_display}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})"
            f"L({brightest},{darkest})"
        )
    if hdr.light is not None:
        parameters.append(f"{for_light}={hdr.light[0]},{hdr.light[1]}")
    return parameters
