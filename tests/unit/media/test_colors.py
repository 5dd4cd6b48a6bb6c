"""Decoding to RGB neither darkens nor brightens, whatever the pixel format."""

from __future__ import annotations

import av
import numpy as np
import pytest

from retalking.media import colors
from retalking.media.colors import RgbConverter

LUMA = np.array([0.299, 0.587, 0.114])


def flat_frame(pixel_format: str, levels: tuple[int, int, int], full: bool) -> av.VideoFrame:
    """A frame of one colour; levels in the format's own depth."""
    base = {"nv12": "yuv420p", "p010le": "yuv420p10le", "yuyv422": "yuv422p"}
    planar = base.get(pixel_format, pixel_format)
    frame = av.VideoFrame(32, 32, planar)
    depth = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(np.full(plane.buffer_size // depth().itemsize, level, depth).tobytes())
    frame.color_range = 2 if full else 1
    return frame if planar == pixel_format else frame.reformat(format=pixel_format)


def expected_rgb(levels: tuple[int, int, int], bits: int, full: bool) -> np.ndarray:
    """BT.601 in floating point."""
    one = 2 ** (bits - 8)
    black, luma, chroma = (
        (0, 2**bits - 1, 2**bits - 1) if full else (16 * one, 219 * one, 224 * one)
    )
    y = 255 * (levels[0] - black) / luma
    u, v = (255 * (level - 128 * one) / chroma for level in levels[1:])
    kr, kg, kb = LUMA
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    return np.array([red, (y - kr * red - kb * blue) / kg, blue])


@pytest.mark.parametrize(
    ("pixel_format", "bits", "full"),
    [
        ("yuv420p", 8, False),
        ("yuv420p", 8, True),
        ("yuvj420p", 8, True),
        ("yuv422p", 8, False),
        ("yuv411p", 8, False),
        ("yuv444p", 8, False),
        ("nv12", 8, False),
        ("yuyv422", 8, False),
        ("yuv420p10le", 10, False),
        ("p010le", 10, False),
        ("yuv422p10le", 10, False),
        ("yuv420p12le", 12, False),
        ("yuv444p10le", 10, False),
    ],
)
def test_flat_colours_keep_their_mean(pixel_format: str, bits: int, full: bool) -> None:
    rng = np.random.default_rng(0)
    one = 2 ** (bits - 8)
    errors, convert = [], RgbConverter()
    for _ in range(200):
        y, u, v = rng.integers(70 * one, 180 * one), *rng.integers(112 * one, 144 * one, 2)
        levels = (int(y), int(u), int(v))
        rgb = convert(flat_frame(pixel_format, levels, full), 32, 32)[8:24, 8:24]
        errors.append(rgb.mean(axis=(0, 1)) - expected_rgb(levels, bits, full))
    # Rounding to whole codes alone leaves 0.29 / sqrt(200) = 0.02 of chance in the mean.
    assert np.abs(np.mean(errors, axis=0)).max() < 0.07
    assert abs(np.mean(errors @ LUMA)) < 0.05
    assert np.abs(errors).max() < 1.1


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuv411p", "yuv440p", "yuv444p", "nv12", "yuv422p10le", "gbrp", "gray"],
)
@pytest.mark.parametrize("size", [(64, 48), (37, 23)])
def test_a_part_has_the_pixels_of_the_whole(
    pixel_format: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, (width, height) = np.random.default_rng(0), size
    frame = av.VideoFrame(width, height, pixel_format)
    for plane in frame.planes:
        samples = rng.integers(0, 256, plane.buffer_size, dtype=np.uint8)
        if pixel_format.endswith("le"):
            samples[1::2] &= 3
        plane.update(samples.tobytes())
    whole = RgbConverter()(frame, width, height)
    assert whole.std() > 40
    convert = RgbConverter()
    for x1, y1, x2, y2 in ((0, 0, 5, 5), (7, 3, 30, 20), (11, 6, width, height)):
        part = convert.part(frame, (x1, y1, x2, y2))
        np.testing.assert_array_equal(part, whole[y1:y2, x1:x2])
    monkeypatch.setattr(colors, "_BAND_PX", 300)  # as of large pictures
    np.testing.assert_array_equal(convert(frame, width, height), whole)


def test_chroma_of_odd_sizes_covers_its_pixels() -> None:
    """The last of 17 chroma samples stands for one column of 33, the others for two each."""
    frame = av.VideoFrame(33, 33, "yuv420p")
    frame.planes[0].update(np.full(frame.planes[0].buffer_size, 128, np.uint8).tobytes())
    for plane in frame.planes[1:]:
        row = np.arange(plane.line_size, dtype=np.uint8) * 4 + 96
        plane.update(np.tile(row, plane.height).tobytes())
    rgb = RgbConverter()(frame, 33, 33)
    np.testing.assert_array_equal(rgb[:, :32:2], rgb[:, 1::2])
    assert (np.diff(rgb[0, ::2, 0].astype(int)) > 0).all()


def test_an_edge_of_chroma_stays_where_it_is() -> None:
    """Red beside blue, the edge on a border of chroma samples: sharp, not smeared over its side."""
    frame = av.VideoFrame(32, 32, "yuv420p")
    for plane, (left, right) in zip(frame.planes, [(81, 41), (90, 240), (240, 110)], strict=True):
        row = np.full(plane.line_size, right, np.uint8)
        row[: plane.width // 2] = left
        plane.update(np.tile(row, plane.height).tobytes())
    frame.color_range = 1
    rgb = RgbConverter()(frame, 32, 32).astype(int)
    red, blue = (expected_rgb(levels, 8, False) for levels in ((81, 90, 240), (41, 240, 110)))
    assert np.abs(rgb[:, :16] - red.clip(0, 255)).max() <= 1
    assert np.abs(rgb[:, 16:] - blue.clip(0, 255)).max() <= 1
