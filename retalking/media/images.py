"""Still images, and the only conversions between uint8 pictures and float tensors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from retalking.errors import MediaError
from retalking.files import replacing
from retalking.types import UInt8Array

_log = logging.getLogger(__name__)

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "PPM", "JPEG2000")
"""What counts as an image; Pillow also recognises videos and documents, which are not meant."""
_ANIMATED_FORMATS = ("PNG", "GIF", "WEBP", "AVIF")
"""Where several frames mean motion. Elsewhere they are pages, of which the first is taken."""
_IMAGE_BRANDS = ("avif", "avis", "mif1", "msf1")
"""What Pillow opens of the files that MP4 is one of."""
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


HEIF_BRANDS = ("heic", "heix", "heim", "heis", "mif1", "avif")
_MOST_PIXELS = 100 * 10**6
_MOST_SHOWN_PIXELS = 35 * 10**6
"""About the largest picture that H.264 decoders show (level 6.2); larger ones are reduced."""
_LONGEST_SIDE_PX = 32766
"""OpenCV warps no longer ones."""


def is_still_image(path: Path) -> bool:
    """Whether the content (not the name) of the file is an image without animation."""
    try:
        if _is_film(path):
            return False
        with _open(path) as image:
            frames = getattr(image, "n_frames", 1)
            return frames == 1 or image.format not in _ANIMATED_FORMATS
    except MediaError:
        raise
    except Exception:  # Pillow raises errors of every kind on damaged files
        return False


def load_image(path: Path) -> UInt8Array:
    """Read an image upright, uint8 RGB ``[H, W, 3]``.

    16 bits become 8, grey, palette and CMYK become RGB, and transparency is laid over white. More
    than 35 megapixels are reduced to that.

    Raises:
        MediaError: missing, unreadable, damaged, not an image, or more than 100 megapixels (of a
            JPEG 178).
    """
    try:
        with _open(path) as image:
            _limit_size(image, path)
            return _to_rgb(ImageOps.exif_transpose(image))
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        if _brand(_head(path)) in HEIF_BRANDS:
            raise heif_error(path) from error
        raise MediaError(f"{path}: not an image that can be read") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # Pillow raises errors of every kind on damaged files
        raise MediaError(f"{path}: damaged image: {error}") from error


def save_image(path: Path, rgb: UInt8Array) -> None:
    """Write uint8 RGB ``[H, W, 3]``; the suffix chooses the format. Atomic.

    Raises:
        MediaError: an unknown suffix, or the file cannot be written.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise MediaError(f"{path}: unknown image suffix, expected one of {' '.join(_SUFFIXES)}")
    with replacing(path) as partial:
        Image.fromarray(rgb).save(partial, quality=95)


def to_tensor(rgb: UInt8Array, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 ``[T, H, W, 3]`` in 0..255 -> float32 ``[T, 3, H, W]`` in [0, 1] on ``device``."""
    return to_float(torch.from_numpy(np.ascontiguousarray(rgb)).to(device))


def to_float(pixels: torch.Tensor) -> torch.Tensor:
    """``to_tensor`` of a tensor, where it is."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0).contiguous()


def to_uint8(pictures: torch.Tensor) -> UInt8Array:
    """Float ``[T, 3, H, W]`` in [0, 1] -> uint8 ``[T, H, W, 3]``, clamped and rounded."""
    return to_pixels(pictures).cpu().numpy()


def to_pixels(pictures: torch.Tensor) -> torch.Tensor:
    """``to_uint8`` as a tensor, where it is."""
    levels = pictures.detach().to(torch.float32).clamp(0.0, 1.0).mul(255.0).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _is_film(path: Path) -> bool:
    """Whether a file begins as MP4, Matroska or AVI; Pillow takes 0.1 s to say that it is none."""
    head = _head(path)
    if brand := _brand(head):
        return brand not in _IMAGE_BRANDS
    return head.startswith(b"\x1a\x45\xdf\xa3") or (head[:4], head[8:]) == (b"RIFF", b"AVI ")


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata and large photos are welcome
        Image.init()  # registers every format; which exist depends on how Pillow was built
        formats = [name for name in _FORMATS if name in Image.OPEN]
        try:
            with Image.open(path, formats=formats) as image:
                yield image
        except Image.DecompressionBombError as error:
            limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
            raise MediaError(
                f"{path}: too many pixels, at most {limit} megapixels; make it smaller"
            ) from error


def heif_error(path: Path) -> MediaError:
    """Return what to say of a photograph of a phone, of which no library here joins the tiles."""
    return MediaError(
        f"{path}: a HEIC photograph, which is not read; convert it to JPEG or PNG, for example by "
        "heif-convert"
    )


def _head(path: Path) -> bytes:
    """The first bytes, by which kinds of files are told apart."""
    with path.open("rb") as file:
        return file.read(12)


def _brand(head: bytes) -> str:
    """What an ISO media file calls itself; nothing of other files."""
    return head[8:].decode("latin-1") if head[4:8] == b"ftyp" else ""


def check_sides(width_px: int, height_px: int, path: Path) -> None:
    """Refuse pictures that are too long to be worked on.

    Raises:
        MediaError: one is.
    """
    if max(width_px, height_px) > _LONGEST_SIDE_PX:
        raise MediaError(
            f"{path}: {width_px} x {height_px} px, expected sides up to {_LONGEST_SIDE_PX} px; "
            "make it smaller"
        )


def _limit_size(image: Image.Image, path: Path) -> None:
    """Refuse or reduce what no job can hold; must come before the pixels are read."""
    check_sides(image.width, image.height, path)
    if image.format == "JPEG" and image.width * image.height > _MOST_SHOWN_PIXELS:
        # Decodes at half the size or less, so that a telephone's 200 megapixels never exist.
        image.draft("RGB", _shown_size(image))
    if image.width * image.height > _MOST_PIXELS:
        raise MediaError(
            f"{path}: too many pixels, at most {_MOST_PIXELS // 10**6} megapixels; make it smaller"
        )
    if image.width * image.height > _MOST_SHOWN_PIXELS:
        size = _shown_size(image)
        _log.warning(
            "%s: %d x %d px are reduced to %d x %d", path, image.width, image.height, *size
        )
        image.thumbnail(size)


def _shown_size(image: Image.Image) -> tuple[int, int]:
    scale = (_MOST_SHOWN_PIXELS / (image.width * image.height)) ** 0.5
    return int(image.width * scale), int(image.height * scale)


def _to_rgb(image: Image.Image) -> UInt8Array:
    if image.mode == "F":
        raise ValueError("floating-point pixels are not supported, save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow may hold in 32 bits
        grey = np.rint(np.asarray(image, dtype=np.float32) / 257.0).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, picture)
    return np.array(image.convert("RGB"))
