"""Images of every kind come in as upright RGB; pictures and tensors convert without loss."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, features

from retalking.errors import MediaError
from retalking.media import images
from retalking.media.images import is_still_image, load_image, save_image, to_tensor, to_uint8
from tests.media import write_video


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def test_lossless_formats_keep_every_pixel(tmp_path: Path, rgb: np.ndarray) -> None:
    for suffix in (".png", ".bmp", ".tiff"):
        path = tmp_path / f"a picture.v2{suffix}"
        save_image(path, rgb)
        np.testing.assert_array_equal(load_image(path), rgb)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a picture.v2.bmp",
        "a picture.v2.png",
        "a picture.v2.tiff",
    ]


def test_jpeg_and_webp_stay_close(tmp_path: Path) -> None:
    smooth = cv2.resize(np.array([[[200, 40, 90], [20, 160, 220]]], np.uint8), (64, 48))
    for suffix in (".jpg", ".webp"):
        save_image(tmp_path / f"x{suffix}", smooth)
        error = np.abs(load_image(tmp_path / f"x{suffix}").astype(int) - smooth)
        assert error.mean() < 2


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[..., 0] = 100
    rgba[0, 0, 3], rgba[0, 1, 3], rgba[1, 0, 3] = 255, 0, 51
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    out = load_image(tmp_path / "alpha.png")
    np.testing.assert_array_equal(out[0, 0], [100, 0, 0])
    np.testing.assert_array_equal(out[0, 1], [255, 255, 255])
    np.testing.assert_array_equal(out[1, 0], [224, 204, 204])


def test_palette_with_a_transparent_entry(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "palette.png", transparency=1)
    np.testing.assert_array_equal(
        load_image(tmp_path / "palette.png"), [[[255, 0, 0], [255, 255, 255]]]
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_become_eight(tmp_path: Path, channels: int, suffix: str) -> None:
    eight = np.random.default_rng(1).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    if channels == 4:
        eight[..., 3] = 255
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), eight.astype(np.uint16) * 257)
    expected = eight[..., [2, 1, 0]] if channels > 1 else np.repeat(eight, 3, axis=2)
    np.testing.assert_array_equal(load_image(path), expected)


def test_grey_bilevel_and_cmyk(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 77).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(load_image(tmp_path / "grey.png"), np.full((2, 3, 3), 77))
    Image.new("1", (3, 2), 1).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(load_image(tmp_path / "bits.png"), np.full((2, 3, 3), 255))
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    red = load_image(tmp_path / "print.jpg")[8, 8].astype(int)
    assert red[0] > 240
    assert red[1:].max() < 15


def test_exif_orientation_is_applied(tmp_path: Path, rgb: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise to show
    Image.fromarray(rgb).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "turned.png"), np.rot90(rgb, -1))


def test_content_decides_what_is_an_image(tmp_path: Path, rgb: np.ndarray) -> None:
    save_image(tmp_path / "photo.png", rgb)
    disguised = tmp_path / "photo.mp4"
    disguised.write_bytes((tmp_path / "photo.png").read_bytes())
    assert is_still_image(disguised)
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for name in ("moves.gif", "moves.png", "moves.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert not is_still_image(tmp_path / name)
    frames[0].save(tmp_path / "still.gif")
    assert is_still_image(tmp_path / "still.gif")
    frames[0].save(tmp_path / "pages.tiff", save_all=True, append_images=frames[1:])
    assert is_still_image(tmp_path / "pages.tiff")
    (tmp_path / "text.png").write_text("hello")
    assert not is_still_image(tmp_path / "text.png")
    assert not is_still_image(tmp_path / "absent.png")


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_films_are_told_by_their_first_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_video(path, 2)
    asked: list[Path] = []
    monkeypatch.setattr(images, "_open", asked.append)
    assert not is_still_image(path)
    assert asked == []


def test_avif_is_a_picture_among_the_files_that_mp4_is_one_of(
    tmp_path: Path, rgb: np.ndarray
) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    Image.fromarray(rgb).save(tmp_path / "a.avif")
    assert is_still_image(tmp_path / "a.avif")


def test_unreadable_images_are_told(tmp_path: Path, rgb: np.ndarray) -> None:
    with pytest.raises(MediaError, match=r"absent\.png: no such file"):
        load_image(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(MediaError, match=r"text\.png: not an image"):
        load_image(tmp_path / "text.png")
    with pytest.raises(MediaError, match="cannot be read"):
        load_image(tmp_path)
    save_image(tmp_path / "whole.png", rgb)
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:300])
    with pytest.raises(MediaError, match=r"cut\.png"):
        load_image(tmp_path / "cut.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(MediaError, match="floating-point"):
        load_image(tmp_path / "float.tiff")


def test_enormous_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (400, 400)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    assert load_image(tmp_path / "big.png").shape == (400, 400, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match="too many pixels"):
        load_image(tmp_path / "big.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_large_images_are_reduced(
    tmp_path: Path, rgb: np.ndarray, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.fromarray(rgb).resize((400, 300))
    picture.save(tmp_path / f"photo{suffix}", quality=98)
    monkeypatch.setattr(images, "_MOST_SHOWN_PIXELS", 200 * 150)
    got = load_image(tmp_path / f"photo{suffix}")
    assert got.shape == (150, 200, 3)
    expected = np.asarray(picture.reduce(2)).astype(int)
    assert np.abs(got - expected).mean() < 6
    monkeypatch.setattr(images, "_MOST_PIXELS", 100 * 100)
    with pytest.raises(MediaError, match="too many pixels"):
        load_image(tmp_path / f"photo{suffix}")


def test_saving_leaves_nothing_behind_on_failure(tmp_path: Path, rgb: np.ndarray) -> None:
    with pytest.raises(MediaError, match="unknown image suffix"):
        save_image(tmp_path / "x.xyz", rgb)
    with pytest.raises(MediaError, match="does not exist"):
        save_image(tmp_path / "absent" / "x.png", rgb)
    (tmp_path / "x.png").mkdir()
    with pytest.raises(MediaError, match="is a directory"):
        save_image(tmp_path / "x.png", rgb)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_tensors_round_trip_every_value() -> None:
    rgb = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    rgb[..., 1] = 255 - rgb[..., 1]
    tensor = to_tensor(rgb)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert float(tensor.min()) == 0.0
    assert float(tensor.max()) == 1.0
    np.testing.assert_array_equal(to_uint8(tensor), rgb)
    np.testing.assert_array_equal(to_uint8(tensor.to(torch.float64)), rgb)


def test_tensors_are_rounded_and_clamped() -> None:
    values = torch.tensor([-1.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 2.0]).reshape(1, 1, 1, 5)
    np.testing.assert_array_equal(
        to_uint8(values.expand(1, 3, 1, 5))[0, 0, :, 0], [0, 0, 1, 255, 255]
    )
